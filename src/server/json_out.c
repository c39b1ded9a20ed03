/* json_out.c - the JSON writer.  On the way of every answer, so it writes numbers and strings
 * itself: 64-bit numbers stay whole, strings are copied in runs. */
#include "json_out.h"

#include "base64.h"
#include "plain.h"

#include <holdfast/panic.h>

#include <stdlib.h>
#include <unistr.h>

void json_init(struct json_out *out)
{
    out->data = out->small;
    out->size = 0;
    out->capacity = sizeof out->small;
}

void json_fini(struct json_out *out)
{
    if (out->data != out->small)
        free(out->data);
    out->data = NULL;
}

struct slice json_slice(const struct json_out *out)
{
    return slice_of(out->data, out->size);
}

static char *reserve(struct json_out *out, size_t more)
{
    if (out->capacity - out->size < more) {
        size_t capacity = out->capacity;
        while (capacity - out->size < more)
            capacity *= 2;
        if (out->data == out->small) {
            out->data = memory_grow(NULL, capacity, 1);
            memcpy(out->data, out->small, out->size);
        } else {
            out->data = memory_grow(out->data, capacity, 1);
        }
        out->capacity = capacity;
    }
    return out->data + out->size;
}

static void append(struct json_out *out, const void *bytes, size_t size)
{
    if (size == 0)
        return;
    memcpy(reserve(out, size), bytes, size);
    out->size += size;
}

static void append_char(struct json_out *out, char c)
{
    *reserve(out, 1) = c;
    out->size++;
}

/* Before anything that is not the first in its object, array or member. */
static void separate(struct json_out *out)
{
    if (out->size == 0)
        return;
    char last = out->data[out->size - 1];
    if (last != '{' && last != '[' && last != ':')
        append_char(out, ',');
}

void json_open(struct json_out *out, char bracket)
{
    separate(out);
    append_char(out, bracket);
}

void json_close(struct json_out *out, char bracket)
{
    append_char(out, bracket);
}

void json_end(struct json_out *out)
{
    append_char(out, '\n');
}

void json_name(struct json_out *out, const char *name)
{
    separate(out);
    append_char(out, '"');
    append(out, name, strlen(name));
    append(out, "\":", 2);
}

static void append_escape(struct json_out *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char named[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
    };
    char *to = reserve(out, 6);

    to[0] = '\\';
    if (c == '"' || c == '\\') {
        to[1] = (char)c;
        out->size += 2;
    } else if (named[c] != 0) {
        to[1] = named[c];
        out->size += 2;
    } else {
        memcpy(to + 1, "u00", 3);
        to[4] = hex[c >> 4];
        to[5] = hex[c & 15];
        out->size += 6;
    }
}

void json_string(struct json_out *out, struct slice text)
{
    const unsigned char *from = text.data;
    size_t plain = 0; /* begin of the run that needs no escape */

    separate(out);
    reserve(out, text.size + 2);
    append_char(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        i += plain_prefix(from + i, text.size - i);
        if (i == text.size)
            break;
        if (from[i] >= 0x20 && from[i] != '"' && from[i] != '\\')
            continue;
        append(out, from + plain, i - plain);
        append_escape(out, from[i]);
        plain = i + 1;
    }
    append(out, from + plain, text.size - plain);
    append_char(out, '"');
}

void json_text(struct json_out *out, const char *text)
{
    json_string(out, slice_text(text));
}

void json_u64(struct json_out *out, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    separate(out);
    append(out, digits + at, sizeof digits - at);
}

void json_bool(struct json_out *out, bool value)
{
    separate(out);
    append(out, value ? "true" : "false", value ? 4 : 5);
}

void json_null(struct json_out *out)
{
    separate(out);
    append(out, "null", 4);
}

void json_member_text(struct json_out *out, const char *name, const char *text)
{
    json_name(out, name);
    json_text(out, text);
}

void json_member_u64(struct json_out *out, const char *name, uint64_t number)
{
    json_name(out, name);
    json_u64(out, number);
}

void json_member_bool(struct json_out *out, const char *name, bool value)
{
    json_name(out, name);
    json_bool(out, value);
}

void json_member_null(struct json_out *out, const char *name)
{
    json_name(out, name);
    json_null(out);
}

void json_member_id(struct json_out *out, const char *name, uint64_t id)
{
    static const char hex[] = "0123456789abcdef";
    char digits[16];

    for (unsigned i = 0; i < 16; i++)
        digits[i] = hex[id >> (60 - 4 * i) & 15];
    json_name(out, name);
    json_string(out, slice_of(digits, sizeof digits));
}

bool json_is_text(struct slice bytes)
{
    if (bytes.size == 0)
        return true;
    const unsigned char *from = bytes.data;
    size_t plain = plain_prefix(from, bytes.size), rest = bytes.size - plain;
    return rest == 0 ||
           (memchr(from + plain, 0, rest) == NULL && u8_check(from + plain, rest) == NULL);
}

void json_member_bytes(struct json_out *out, const char *name, struct slice bytes)
{
    char long_name[32];

    if (json_is_text(bytes)) {
        json_name(out, name);
        json_string(out, bytes);
        return;
    }
    size_t length = strlen(name);
    ASSERT(length + sizeof "_b64" <= sizeof long_name);
    memcpy(long_name, name, length);
    memcpy(long_name + length, "_b64", sizeof "_b64");
    json_name(out, long_name);
    append_char(out, '"');
    out->size +=
        base64_encode(BASE64_STANDARD, bytes, reserve(out, BASE64_ENCODED_SIZE(bytes.size)));
    append_char(out, '"');
}

/* buffer.c - bytes that grow, and the encodings that requests are written in: percent, JSON
 * strings, base64. */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    memset(buffer, 0, sizeof(*buffer));
}

/* Room for `size` more bytes and a NUL. */
static bool buffer_reserve(struct buffer *buffer, size_t size)
{
    if (buffer->failed)
        return false;
    if (size >= SIZE_MAX / 4 - buffer->size) {
        buffer->failed = true;
        return false;
    }
    size_t needed = buffer->size + size + 1;
    if (needed <= buffer->capacity)
        return true;
    size_t capacity = buffer->capacity < 256 ? 256 : buffer->capacity * 2;
    if (capacity < needed)
        capacity = needed;
    char *data = realloc(buffer->data, capacity);
    if (data == NULL) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

void buffer_add(struct buffer *buffer, const void *data, size_t size)
{
    if (!buffer_reserve(buffer, size))
        return;
    if (size > 0)
        memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
    buffer->data[buffer->size] = '\0';
}

void buffer_text(struct buffer *buffer, const char *text)
{
    buffer_add(buffer, text, strlen(text));
}

void buffer_format(struct buffer *buffer, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(text))
        buffer->failed = true;
    else
        buffer_add(buffer, text, (size_t)n);
}

void buffer_percent(struct buffer *buffer, struct holdfast_bytes bytes, bool keep_slash)
{
    static const char hex[] = "0123456789ABCDEF";
    const unsigned char *p = bytes.data;
    for (size_t i = 0; i < bytes.size; i++) {
        unsigned char c = p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~' || (c == '/' && keep_slash);
        char code[3] = { '%', hex[c >> 4], hex[c & 15] };
        if (plain)
            buffer_add(buffer, &c, 1);
        else
            buffer_add(buffer, code, 3);
    }
}

/* ---- JSON */

/* The size of the UTF-8 sequence at p, 0 if it is not valid (RFC 3629: no surrogates, nothing
 * overlong, nothing over U+10FFFF). */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
    unsigned char c = p[0];
    if (c < 0x80)
        return 1;
    size_t size = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || left < size)
        return 0;
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) || (c == 0xf0 && p[1] < 0x90) ||
        (c == 0xf4 && p[1] > 0x8f))
        return 0;
    return size;
}

bool bytes_are_text(struct holdfast_bytes bytes)
{
    const unsigned char *p = bytes.data;
    for (size_t i = 0; i < bytes.size;) {
        size_t n = p[i] == 0 ? 0 : utf8_sequence(p + i, bytes.size - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

static void buffer_json_string(struct buffer *buffer, struct holdfast_bytes bytes)
{
    const char *p = bytes.data;
    size_t from = 0;
    buffer_text(buffer, "\"");
    for (size_t i = 0; i < bytes.size; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buffer_add(buffer, p + from, i - from);
        buffer_format(buffer, c < 0x20 ? "\\u%04x" : "\\%c", c);
        from = i + 1;
    }
    if (bytes.size > from)
        buffer_add(buffer, p + from, bytes.size - from);
    buffer_text(buffer, "\"");
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void buffer_base64(struct buffer *buffer, struct holdfast_bytes bytes)
{
    const unsigned char *p = bytes.data;
    if (!buffer_reserve(buffer, bytes.size / 3 * 4 + 4))
        return;
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t n = bytes.size - i;
        uint32_t bits = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                        (n > 2 ? (uint32_t)p[i + 2] : 0);
        char quad[4] = { base64_digits[bits >> 18], base64_digits[bits >> 12 & 63],
                         n > 1 ? base64_digits[bits >> 6 & 63] : '=',
                         n > 2 ? base64_digits[bits & 63] : '=' };
        buffer_add(buffer, quad, 4);
    }
}

void buffer_json_bytes(struct buffer *buffer, const char *name, struct holdfast_bytes bytes)
{
    if (bytes_are_text(bytes)) {
        buffer_format(buffer, ",\"%s\":", name);
        buffer_json_string(buffer, bytes);
    } else {
        buffer_format(buffer, ",\"%s_b64\":\"", name);
        buffer_base64(buffer, bytes);
        buffer_text(buffer, "\"");
    }
}

static int base64_digit(char c)
{
    const char *p = c == '\0' ? NULL : strchr(base64_digits, c);
    return p == NULL ? -1 : (int)(p - base64_digits);
}

bool client_base64_decode(const char *text, size_t size, unsigned char *out, size_t *out_size)
{
    size_t n = 0;
    if (size % 4 != 0)
        return false;
    for (size_t i = 0; i < size; i += 4) {
        bool last = i + 4 == size;
        size_t padding = last && text[i + 3] == '=' ? (text[i + 2] == '=' ? 2 : 1) : 0;
        uint32_t bits = 0;
        for (size_t j = 0; j < 4; j++) {
            int digit = j >= 4 - padding ? 0 : base64_digit(text[i + j]);
            if (digit < 0)
                return false;
            bits = bits << 6 | (uint32_t)digit;
        }
        out[n++] = (unsigned char)(bits >> 16);
        if (padding < 2)
            out[n++] = (unsigned char)(bits >> 8 & 255);
        if (padding < 1)
            out[n++] = (unsigned char)(bits & 255);
    }
    *out_size = n;
    return true;
}

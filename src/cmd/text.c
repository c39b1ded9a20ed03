/* text.c - see text.h. */
#include "text.h"

#include <inttypes.h>
#include <time.h>

/* ---- for people */

size_t text_character(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    size_t size = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < size)
        return 0;
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    bool wrong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
                 (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f);
    return wrong ? 0 : size;
}

size_t text_printable(const unsigned char *p, size_t left)
{
    bool control = p[0] < ' ' || p[0] == 0x7f || (p[0] == 0xc2 && left > 1 && p[1] < 0xa0);
    return control ? 0 : text_character(p, left);
}

void text_quote(FILE *out, struct slice bytes, size_t max)
{
    const unsigned char *p = bytes.data;
    fputc('"', out);
    for (size_t i = 0; i < bytes.size && i < max;) {
        size_t n = text_printable(p + i, bytes.size - i);
        if (n > 0 && p[i] != '"' && p[i] != '\\')
            fwrite(p + i, 1, n, out);
        else if (p[i] == '"' || p[i] == '\\')
            fprintf(out, "\\%c", p[i]);
        else if (p[i] == '\n' || p[i] == '\t')
            fputs(p[i] == '\n' ? "\\n" : "\\t", out);
        else
            fprintf(out, "\\x%02x", p[i]);
        i += n > 0 ? n : 1;
    }
    fputs(bytes.size > max ? "\"..." : "\"", out);
}

void text_time(uint64_t ms, char out[TEXT_TIME_MAX])
{
    struct tm parts;
    char text[TEXT_TIME_MAX / 2 + 4];
    time_t seconds = (time_t)(ms / 1000);
    if (ms / 1000 > 253402300799 || gmtime_r(&seconds, &parts) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts) == 0)
        snprintf(out, TEXT_TIME_MAX, "%" PRIu64 "ms", ms); /* behind the year 9999 */
    else
        snprintf(out, TEXT_TIME_MAX, "%s.%03uZ", text, (unsigned)(ms % 1000));
}

void text_size(uint64_t bytes, char out[TEXT_SIZE_MAX])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double size = (double)bytes;
    size_t unit = 0;
    while (size >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        size /= 1024;
        unit++;
    }
    snprintf(out, TEXT_SIZE_MAX, unit == 0 ? "%.0f %s" : "%.1f %s", size, units[unit]);
}

/* ---- JSON */

void json_begin(struct json *json, char bracket)
{
    fputc(bracket, json->out);
    json->began = false;
}

void json_finish(struct json *json, char bracket)
{
    fputc(bracket, json->out);
    json->began = true;
}

void json_key(struct json *json, const char *name)
{
    if (json->began)
        fputc(',', json->out);
    if (name != NULL)
        fprintf(json->out, "\"%s\":", name);
    json->began = true;
}

void json_number(struct json *json, const char *name, uint64_t number)
{
    json_key(json, name);
    fprintf(json->out, "%" PRIu64, number);
}

void json_truth(struct json *json, const char *name, bool value)
{
    json_key(json, name);
    fputs(value ? "true" : "false", json->out);
}

void json_hex(struct json *json, const char *name, uint64_t id)
{
    json_key(json, name);
    fprintf(json->out, "\"%016" PRIx64 "\"", id);
}

static bool is_text(struct slice bytes)
{
    const unsigned char *p = bytes.data;
    for (size_t i = 0; i < bytes.size;) {
        size_t n = p[i] == '\0' ? 0 : text_character(p + i, bytes.size - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

static void write_string(FILE *out, struct slice text)
{
    const unsigned char *p = text.data;
    fputc('"', out);
    for (size_t i = 0; i < text.size; i++) {
        if (p[i] == '"' || p[i] == '\\')
            fprintf(out, "\\%c", p[i]);
        else if (p[i] < ' ' || p[i] == 0x7f)
            fprintf(out, "\\u%04x", p[i]);
        else
            fputc(p[i], out);
    }
    fputc('"', out);
}

static void write_base64(FILE *out, struct slice bytes)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = bytes.data;
    fputc('"', out);
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i;
        uint32_t three = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                         (left > 2 ? p[i + 2] : 0u);
        fputc(letters[three >> 18], out);
        fputc(letters[three >> 12 & 63], out);
        fputc(left > 1 ? letters[three >> 6 & 63] : '=', out);
        fputc(left > 2 ? letters[three & 63] : '=', out);
    }
    fputc('"', out);
}

void json_bytes(struct json *json, const char *name, struct slice bytes)
{
    char b64[80];
    if (is_text(bytes)) {
        json_key(json, name);
        write_string(json->out, bytes);
        return;
    }
    snprintf(b64, sizeof b64, "%.70s_b64", name);
    json_key(json, b64);
    write_base64(json->out, bytes);
}

void json_words(struct json *json, const char *name, const char *text)
{
    json_key(json, name);
    write_string(json->out, slice_text(text));
}

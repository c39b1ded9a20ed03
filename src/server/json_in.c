/* json_in.c - from a body to members.  json_check.c has looked the bytes over, cJSON builds the
 * tree, and here the members are held against what the caller knows. */
#include "json_in.h"

#include "base64.h"
#include "json_check.h"
#include "plain.h"

#include <holdfast/panic.h>

#include <cjson/cJSON.h>
#include <stdio.h>
#include <unistr.h>

static const char *type_of(const cJSON *node)
{
    if (cJSON_IsString(node))
        return "a string";
    if (cJSON_IsNumber(node))
        return "a number";
    if (cJSON_IsBool(node))
        return "true or false";
    if (cJSON_IsNull(node))
        return "null";
    return cJSON_IsArray(node) ? "an array" : "an object";
}

struct cJSON *json_parse(struct slice body, struct problem *problem)
{
    if (!json_check(body, problem))
        return NULL;
    const char *end = NULL;
    cJSON *tree = cJSON_ParseWithLengthOpts(body.data, body.size, &end, false);
    if (tree == NULL) {
        problem_set(problem, ERR_BAD_REQUEST, "", "the body is not JSON");
        return NULL;
    }
    if (!cJSON_IsObject(tree)) {
        problem_set(problem, ERR_BAD_REQUEST, "",
                    "the body is %s; it must be an object, as in {...}", type_of(tree));
        cJSON_Delete(tree);
        return NULL;
    }
    return tree;
}

void json_free(struct cJSON *tree)
{
    cJSON_Delete(tree);
}

static bool read_text(const cJSON *node, enum json_type type, const char *where,
                      struct json_value *value, struct problem *problem)
{
    if (!cJSON_IsString(node))
        return problem_set(problem, ERR_BAD_REQUEST, "",
                           "%smember \"%s\" is %s; it must be a string", where, node->string,
                           type_of(node));
    value->text = slice_text(node->valuestring);
    if (type == JSON_BASE64 &&
        !base64_decode(BASE64_STANDARD, value->text, (unsigned char *)node->valuestring,
                       &value->text.size))
        return problem_set(problem, ERR_BAD_REQUEST,
                           "base64 here has the standard alphabet, padding, and no white space",
                           "%smember \"%s\" is not base64", where, node->string);
    return true;
}

static bool read_member(const cJSON *node, enum json_type type, const char *where,
                        struct json_value *value, struct problem *problem)
{
    switch (type) {
    case JSON_STRING:
    case JSON_BASE64:
        return read_text(node, type, where, value, problem);
    case JSON_COUNT:
        if (!cJSON_IsNumber(node) || node->valuedouble < 0 ||
            node->valuedouble >= 9007199254740992.0 ||
            node->valuedouble != (double)(uint64_t)node->valuedouble)
            return problem_set(problem, ERR_BAD_REQUEST, "",
                               "%smember \"%s\" must be a whole number from 0 to 2^53 - 1", where,
                               node->string);
        value->count = (uint64_t)node->valuedouble;
        return true;
    case JSON_BOOL:
        if (!cJSON_IsBool(node))
            return problem_set(problem, ERR_BAD_REQUEST, "",
                               "%smember \"%s\" must be true or false", where, node->string);
        value->count = cJSON_IsTrue(node) ? 1 : 0;
        return true;
    case JSON_ARRAY:
        break;
    }
    ASSERT(type == JSON_ARRAY);
    if (!cJSON_IsArray(node))
        return problem_set(problem, ERR_BAD_REQUEST, "",
                           "%smember \"%s\" is %s; it must be an array, as in [...]", where,
                           node->string, type_of(node));
    value->first = node->child;
    return true;
}

static void name_all(const struct json_member_spec *specs, size_t n, char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "known members:");
    for (size_t i = 0; i < n && used < size; i++)
        used +=
            (size_t)snprintf(out + used, size - used, "%s \"%s\"", i > 0 ? "," : "", specs[i].name);
}

bool json_read_object(const struct cJSON *object, const struct json_member_spec *specs, size_t n,
                      const char *where, struct json_value *values, struct problem *problem)
{
    ASSERT(n <= JSON_MEMBERS_MAX);
    memset(values, 0, n * sizeof *values);
    if (!cJSON_IsObject(object))
        return problem_set(problem, ERR_BAD_REQUEST, "",
                           "%sit is %s; it must be an object, as in {...}", where, type_of(object));
    /* No object is walked further than one member past the known ones: the next is unknown
     * or repeated, and ends it. */
    for (const cJSON *node = object->child; node != NULL; node = node->next) {
        size_t i = 0;
        while (i < n && strcmp(specs[i].name, node->string) != 0)
            i++;
        if (i == n) {
            char known[PROBLEM_TEXT_MAX];
            name_all(specs, n, known, sizeof known);
            return problem_set(problem, ERR_BAD_REQUEST, known, "%sthere is no member %s here",
                               where, problem_quote(slice_text(node->string)).text);
        }
        if (values[i].present)
            return problem_set(problem, ERR_BAD_REQUEST, "", "%smember \"%s\" is given twice",
                               where, specs[i].name);
        values[i].present = true;
        if (!read_member(node, specs[i].type, where, &values[i], problem))
            return false;
    }
    return true;
}

const struct cJSON *json_next(const struct cJSON *element)
{
    return element->next;
}

static size_t skip_space(struct slice body, size_t at)
{
    const unsigned char *bytes = body.data;
    while (at < body.size &&
           (bytes[at] == ' ' || bytes[at] == '\n' || bytes[at] == '\r' || bytes[at] == '\t'))
        at++;
    return at;
}

bool json_looks_like_object(struct slice body)
{
    size_t at = skip_space(body, 0);
    return at < body.size && ((const unsigned char *)body.data)[at] == '{';
}

/* Exactly {"value":"..."} without a backslash in the string: by far the most frequent body.
 * False only means "not that": the general parser then has the word. */
static bool read_simple_value(struct slice body, struct slice *value)
{
    static const char name[] = "\"value\"";
    const unsigned char *bytes = body.data;
    size_t at = skip_space(body, 0);

    if (at == body.size || bytes[at] != '{')
        return false;
    at = skip_space(body, at + 1);
    if (body.size - at < sizeof name || memcmp(bytes + at, name, sizeof name - 1) != 0)
        return false;
    at = skip_space(body, at + sizeof name - 1);
    if (at == body.size || bytes[at] != ':')
        return false;
    at = skip_space(body, at + 1);
    if (at == body.size || bytes[at] != '"')
        return false;
    size_t first = ++at;
    at += plain_prefix(bytes + at, body.size - at);
    size_t ascii = at; /* up to here there is no UTF-8 to be checked */
    while (at < body.size && bytes[at] >= 0x20 && bytes[at] != '"' && bytes[at] != '\\')
        at++;
    if (at == body.size || bytes[at] != '"')
        return false;
    if (u8_check(bytes + ascii, at - ascii) != NULL)
        return false;
    *value = slice_of(bytes + first, at - first);
    at = skip_space(body, at + 1);
    return at < body.size && bytes[at] == '}' && skip_space(body, at + 1) == body.size;
}

bool json_read_value_slowly(struct slice body, struct cJSON **tree, struct slice *value,
                            struct problem *problem)
{
    static const struct json_member_spec specs[] = {
        { "value", JSON_STRING },
        { "value_b64", JSON_BASE64 },
    };
    struct json_value values[2];

    *tree = json_parse(body, problem);
    if (*tree == NULL)
        return false;
    if (!json_read_object(*tree, specs, 2, "", values, problem))
        return false;
    if (values[0].present == values[1].present)
        return problem_set(problem, ERR_BAD_REQUEST, "",
                           values[0].present
                               ? "both \"value\" and \"value_b64\" are given; one of them is needed"
                               : "member \"value\" (or \"value_b64\") is missing");
    *value = values[0].present ? values[0].text : values[1].text;
    return true;
}

bool json_read_value(struct slice body, struct cJSON **tree, struct slice *value,
                     struct problem *problem)
{
    *tree = NULL;
    if (read_simple_value(body, value))
        return true;
    return json_read_value_slowly(body, tree, value, problem);
}

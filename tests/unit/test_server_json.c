/* test_server_json.c - JSON in and out: exact, strict, and the same by the short way and the long.
 */
#include "src/server/base64.h"
#include "src/server/json_check.h"
#include "src/server/json_in.h"
#include "src/server/json_out.h"
#include "src/server/plain.h"

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- out */

static void expect_out(struct json_out *out, const char *expected)
{
    ck_assert_msg(slice_equal(json_slice(out), slice_text(expected)), "expected %s, got %.*s",
                  expected, (int)out->size, out->data);
    json_fini(out);
}

START_TEST(commas_stand_between_and_only_there)
{
    struct json_out out;
    json_init(&out);
    json_open(&out, '{');
    json_member_u64(&out, "a", 1);
    json_name(&out, "b");
    json_open(&out, '[');
    json_u64(&out, 2);
    json_open(&out, '{');
    json_close(&out, '}');
    json_null(&out);
    json_bool(&out, true);
    json_text(&out, "");
    json_text(&out, "{[:");
    json_bool(&out, false);
    json_close(&out, ']');
    json_name(&out, "c");
    json_open(&out, '[');
    json_close(&out, ']');
    json_member_id(&out, "d", 0xabc);
    json_close(&out, '}');
    expect_out(&out, "{\"a\":1,\"b\":[2,{},null,true,\"\",\"{[:\",false],\"c\":[],"
                     "\"d\":\"0000000000000abc\"}");
}
END_TEST

START_TEST(numbers_keep_all_64_bits)
{
    struct json_out out;
    json_init(&out);
    json_open(&out, '[');
    json_u64(&out, 0);
    json_u64(&out, 9007199254740993u);
    json_u64(&out, UINT64_MAX);
    json_close(&out, ']');
    expect_out(&out, "[0,9007199254740993,18446744073709551615]");
}
END_TEST

START_TEST(strings_are_escaped)
{
    struct json_out out;
    json_init(&out);
    json_string(&out, slice_of("a\"b\\c/\b\t\n\f\r\x01\x1f\x7f\0z", 16));
    expect_out(&out, "\"a\\\"b\\\\c/\\b\\t\\n\\f\\r\\u0001\\u001f\x7f\\u0000z\"");
}
END_TEST

START_TEST(what_is_no_text_comes_in_base64)
{
    static const struct {
        struct slice bytes;
        const char *expected;
    } rows[] = {
        { { "", 0 }, "{\"value\":\"\"}" },
        { { NULL, 0 }, "{\"value\":\"\"}" },
        { { "\xc3\xa4", 2 }, "{\"value\":\"\xc3\xa4\"}" },
        { { "\xf0\x9f\xa6\x8a", 4 }, "{\"value\":\"\xf0\x9f\xa6\x8a\"}" },
        { { "a\0b", 3 }, "{\"value_b64\":\"YQBi\"}" },
        { { "\xff", 1 }, "{\"value_b64\":\"/w==\"}" },
        { { "\xc3", 1 }, "{\"value_b64\":\"ww==\"}" },
        { { "\xc0\xaf", 2 }, "{\"value_b64\":\"wK8=\"}" },             /* overlong */
        { { "\xed\xa0\x80", 3 }, "{\"value_b64\":\"7aCA\"}" },         /* a surrogate */
        { { "\xf4\x90\x80\x80", 4 }, "{\"value_b64\":\"9JCAgA==\"}" }, /* beyond U+10FFFF */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct json_out out;
        json_init(&out);
        json_open(&out, '{');
        json_member_bytes(&out, "value", rows[i].bytes);
        json_close(&out, '}');
        expect_out(&out, rows[i].expected);
    }
}
END_TEST

START_TEST(the_plain_prefix_ends_at_the_first_odd_byte)
{
    unsigned char bytes[40];
    for (size_t at = 0; at < 32; at++) {
        for (unsigned c = 0; c < 256; c++) {
            memset(bytes, at % 2 ? 'x' : 0x7f, sizeof bytes);
            bytes[at] = (unsigned char)c;
            size_t expected = plain_byte((unsigned char)c) ? 33 : at;
            ck_assert_uint_eq(plain_prefix(bytes, 33), expected);
            ck_assert_uint_eq(plain_prefix(bytes, at), at);
        }
    }
    for (unsigned c = 0; c < 256; c++)
        ck_assert(plain_byte((unsigned char)c) == (c >= 32 && c < 128 && c != 34 && c != 92));
}
END_TEST

START_TEST(large_output_grows)
{
    struct json_out out;
    size_t size = 300 * 1000;
    char *text = malloc(size);
    memset(text, '"', size);
    json_init(&out);
    json_string(&out, slice_of(text, size));
    ck_assert_uint_eq(out.size, 2 * size + 2);
    for (size_t i = 1; i < 2 * size; i += 2)
        ck_assert(out.data[i] == '\\' && out.data[i + 1] == '"');
    json_fini(&out);
    free(text);
}
END_TEST

/* ---- base64 */

START_TEST(base64_comes_back_and_has_one_form)
{
    unsigned char bytes[256], back[256];
    char text[BASE64_ENCODED_SIZE(256)];
    size_t size;
    for (unsigned i = 0; i < 256; i++)
        bytes[i] = (unsigned char)(i * 7 + 3);
    for (int kind = BASE64_STANDARD; kind <= BASE64_URL; kind++) {
        for (size_t n = 0; n <= 256; n++) {
            size_t length = base64_encode((enum base64_kind)kind, slice_of(bytes, n), text);
            ck_assert(base64_decode((enum base64_kind)kind, slice_of(text, length), back, &size));
            ck_assert(slice_equal(slice_of(bytes, n), slice_of(back, size)));
        }
    }
    static const char *const wrong[] = { "=",     "A",    "A=",   "A===",   "====",      "AA=",
                                         "AAA",   "AA",   "AB==", "AAB=",   "AA==AAAA",  "AA =",
                                         "AA\n=", "A-A=", "A_A=", "AA==\n", "\303\244AA" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(!base64_decode(BASE64_STANDARD, slice_text(wrong[i]), back, &size), "%s",
                      wrong[i]);
}
END_TEST

/* ---- in: what is JSON */

static bool is_json(struct slice body)
{
    struct problem problem;
    return json_check(body, &problem);
}

/* clang-format off */
static const char *const right_json[] = {
    "{}", "[]", "0", "-0", "1e5", "1.5E+3", "-12.25e-7", "\"\"", "true", "false", "null",
    " \t\r\n{ \"a\" : [ 1 , 2 ] } \n", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\uD83E\\uDD8A\"",
    "\"\x7f\"", "123456789012345678901234567890", "{\"a\":1,\"a\":2}",
};

static const char *const wrong_json[] = {
    "", " ", "{", "}", "[", "]", "{]", "[}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "[1,]", "[,1]",
    "{,}", "{a:1}", "{'a':1}", "01", "-", "+1", "1.", ".5", "1e", "1e+", "0x10", "NaN",
    "Infinity", "tru", "True", "nul", "\"", "\"a", "\"\\", "\"\\x41\"", "\"\\u12\"",
    "\"\\u12g4\"", "\"\n\"", "\"\t\"", "\"\\ud83e\"", "\"\\udd8a\"", "\"\\ud83e\\u0041\"",
    "\"\\ud83ex\"", "{} {}", "{}x", "[1 2]", "{\"a\" 1}", "\xef\xbb\xbf{}", "\v{}", "\f{}",
    "{}\x01", "// c\n{}", "\"\\u0000\"",
};
/* clang-format on */

START_TEST(json_is_what_rfc_8259_says)
{
    for (size_t i = 0; i < sizeof right_json / sizeof right_json[0]; i++)
        ck_assert_msg(is_json(slice_text(right_json[i])), "is JSON: %s", right_json[i]);
    for (size_t i = 0; i < sizeof wrong_json / sizeof wrong_json[0]; i++)
        ck_assert_msg(!is_json(slice_text(wrong_json[i])), "is not JSON: %s", wrong_json[i]);
    ck_assert(!is_json(slice_of("{}\0", 3)));
    ck_assert(!is_json(slice_of("\"a\0b\"", 5)));
}
END_TEST

START_TEST(each_byte_in_a_string_is_judged)
{
    for (unsigned c = 0; c < 256; c++) {
        char body[] = "\"?\"";
        body[1] = (char)c;
        bool expected = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
        ck_assert_msg(is_json(slice_of(body, 3)) == expected, "byte %02x", c);
    }
    static const char *const invalid[] = { "\"\xc3\"",         "\"\xc0\xaf\"",
                                           "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"",
                                           "{\"\xff\":1}",     "\xff" };
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
        struct problem problem;
        ck_assert(!json_check(slice_text(invalid[i]), &problem));
        ck_assert_int_eq(problem.err, ERR_BAD_REQUEST);
        ck_assert_ptr_nonnull(strstr(problem.message, "UTF-8"));
    }
}
END_TEST

START_TEST(an_escaped_nul_is_refused_with_a_way_out)
{
    struct problem problem;
    ck_assert(!json_check(slice_text("{\"value\":\"a\\u0000b\"}"), &problem));
    ck_assert_ptr_nonnull(strstr(problem.message, "NUL"));
    ck_assert_ptr_nonnull(strstr(problem.message, "byte 11"));
    ck_assert_ptr_nonnull(strstr(problem.hint, "value_b64"));
}
END_TEST

START_TEST(depth_and_number_of_values_have_a_bound)
{
    struct problem problem;
    char nested[2 * (JSON_DEPTH_MAX + 1)];
    memset(nested, '[', JSON_DEPTH_MAX + 1);
    memset(nested + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    ck_assert(is_json(slice_of(nested + 1, 2 * JSON_DEPTH_MAX)));
    ck_assert(!json_check(slice_of(nested, sizeof nested), &problem));
    ck_assert_ptr_nonnull(strstr(problem.message, "16 levels"));

    size_t size = 1024 * 1024; /* a million brackets neither crash nor take long */
    char *many = malloc(size);
    memset(many, '[', size);
    ck_assert(!is_json(slice_of(many, size)));
    many[0] = '[';
    for (size_t i = 1; i + 1 < size; i += 2)
        memcpy(many + i, "0,", 2);
    ck_assert(!json_check(slice_of(many, size), &problem));
    ck_assert_int_eq(problem.err, ERR_TOO_LARGE);
    free(many);
}
END_TEST

/* ---- in: what members say */

static const struct json_member_spec specs[] = {
    { "text", JSON_STRING },
    { "bytes", JSON_BASE64 },
    { "count", JSON_COUNT },
    { "list", JSON_ARRAY },
};

/* NULL if it is read, else the message. */
static const char *read_object(const char *body, struct json_value *values)
{
    static struct problem problem;
    struct cJSON *tree = json_parse(slice_text(body), &problem);
    bool good = tree != NULL && json_read_object(tree, specs, 4, "here: ", values, &problem);
    if (tree != NULL)
        json_free(tree);
    return good ? NULL : problem.message;
}

START_TEST(members_are_known_single_and_of_their_type)
{
    static const struct {
        const char *body, *message;
    } rows[] = {
        { "[]", "is an array" },
        { "\"x\"", "is a string" },
        { "{\"txt\":\"\"}", "here: there is no member \"txt\"" },
        { "{\"\":\"\"}", "there is no member \"\"" },
        { "{\"Text\":\"\"}", "there is no member \"Text\"" },
        { "{\"text\":\"\",\"text\":\"\"}", "\"text\" is given twice" },
        { "{\"text\":\"\",\"te\\u0078t\":\"\"}", "\"text\" is given twice" },
        { "{\"text\":1}", "\"text\" is a number; it must be a string" },
        { "{\"text\":null}", "\"text\" is null; it must be a string" },
        { "{\"text\":{\"a\":1}}", "\"text\" is an object; it must be a string" },
        { "{\"bytes\":\"*\"}", "\"bytes\" is not base64" },
        { "{\"count\":-1}", "\"count\" must be a whole number" },
        { "{\"count\":1.5}", "\"count\" must be a whole number" },
        { "{\"count\":\"1\"}", "\"count\" must be a whole number" },
        { "{\"count\":9007199254740992}", "\"count\" must be a whole number" },
        { "{\"count\":1e400}", "\"count\" must be a whole number" },
        { "{\"count\":18446744073709551616}", "\"count\" must be a whole number" },
        { "{\"list\":{}}", "\"list\" is an object; it must be an array" },
        { "{\"list\":true}", "\"list\" is true or false; it must be an array" },
    };
    struct json_value values[4];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *message = read_object(rows[i].body, values);
        ck_assert_msg(message != NULL && strstr(message, rows[i].message) != NULL,
                      "%s: expected \"%s\", got \"%s\"", rows[i].body, rows[i].message,
                      message != NULL ? message : "no problem");
    }
    ck_assert_ptr_null(read_object("{}", values));
    ck_assert(!values[0].present && !values[1].present && !values[2].present && !values[3].present);
    ck_assert_ptr_null(read_object("{\"count\":9007199254740991,\"list\":[]}", values));
    ck_assert_uint_eq(values[2].count, 9007199254740991u);
    ck_assert_ptr_null(values[3].first);
}
END_TEST

START_TEST(a_flood_of_members_ends_at_the_first_strange_one)
{
    size_t size = 16 * 1000, used = 1;
    char *body = malloc(size + 64);
    body[0] = '{';
    for (unsigned i = 0; used < size; i++)
        used += (size_t)sprintf(body + used, "\"m%u\":0,", i);
    memcpy(body + used, "\"z\":0}", 7);
    struct json_value values[4];
    ck_assert_ptr_nonnull(strstr(read_object(body, values), "there is no member \"m0\""));
    free(body);
}
END_TEST

/* ---- in: the value of a PUT, by the short way and by the long */

struct outcome_of {
    bool good;
    char value[4096];
    size_t size;
    struct problem problem;
};

static void read_by(bool slowly, struct slice body, struct outcome_of *out)
{
    struct cJSON *tree = NULL;
    struct slice value = { NULL, 0 };
    memset(out, 0, sizeof *out);
    out->good = slowly ? json_read_value_slowly(body, &tree, &value, &out->problem)
                       : json_read_value(body, &tree, &value, &out->problem);
    if (out->good) {
        ck_assert_uint_le(value.size, sizeof out->value);
        if (value.size > 0)
            memcpy(out->value, value.data, value.size);
        out->size = value.size;
    }
    json_free(tree);
}

static bool expect_same(struct slice body)
{
    static struct outcome_of fast, slow;
    read_by(false, body, &fast);
    read_by(true, body, &slow);
    ck_assert_msg(fast.good == slow.good && fast.size == slow.size &&
                      memcmp(fast.value, slow.value, fast.size) == 0 &&
                      (fast.good || (fast.problem.err == slow.problem.err &&
                                     strcmp(fast.problem.message, slow.problem.message) == 0)),
                  "the two ways differ on %.*s", (int)body.size, (const char *)body.data);
    return fast.good;
}

START_TEST(both_ways_to_a_value_agree)
{
    static const char *const bodies[] = {
        "{\"value\":\"world\"}",
        " {\n\"value\" :\t\"world\"\r} ",
        "{\"value\":\"\"}",
        "{\"value\":\"a\\nb\"}",
        "{\"value\":\"a\nb\"}",
        "{\"value\":\"\xc3\xa4\"}",
        "{\"value\":\"\xc3\"}",
        "{\"value\":\"a\"}x",
        "{\"value\":\"a\"",
        "{\"value\":\"a}",
        "{\"value\":1}",
        "{\"value\":\"a\",\"value\":\"b\"}",
        "{}",
        "{\"value\":\"a\",\"value_b64\":\"YQ==\"}",
        "{\"value_b64\":\"AAEC\"}",
        "{\"value\" \"a\"}",
        "{\"value\":\"a\",}",
        "{\"Value\":\"a\"}",
        "{\"value\":\"\\u0000\"}",
        "{\"value\"",
        "{\"value\":",
        "{\"value\":\"",
        "{",
        "",
        "\v{\"value\":\"a\"}",
        "{\"value\":\"a\"}\v",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        expect_same(slice_text(bodies[i]));
    for (unsigned c = 0; c < 256; c++) { /* each byte inside, before and behind */
        char inside[] = "{\"value\":\"?\"}", before[] = "?{\"value\":\"x\"}",
             behind[] = "{\"value\":\"x\"}?";
        inside[10] = before[0] = behind[13] = (char)c;
        expect_same(slice_of(inside, sizeof inside - 1));
        expect_same(slice_of(before, sizeof before - 1));
        expect_same(slice_of(behind, sizeof behind - 1));
    }
}
END_TEST

START_TEST(both_ways_agree_on_damaged_bodies)
{
    static const char seed_body[] = "{ \"value\" : \"some text \xc3\xa4\" }";
    static const char bytes[] = "{}[]\",:\\ \n\xc3\xa4vu0ealue\0";
    unsigned state = 12345, good = 0;
    for (unsigned round = 0; round < 200000; round++) {
        char body[sizeof seed_body];
        memcpy(body, seed_body, sizeof body);
        size_t size = sizeof body - 1;
        for (unsigned changes = 0; changes < 1 + round % 3; changes++) {
            state = state * 1664525u + 1013904223u;
            size_t at = (state >> 8) % size;
            body[at] = bytes[(state >> 20) % sizeof bytes];
            if (state % 7 == 0)
                size = at + 1;
        }
        good += expect_same(slice_of(body, size));
    }
    ck_assert_uint_gt(good, 1000); /* both kinds came up */
    ck_assert_uint_lt(good, 190000);
}
END_TEST

START_TEST(every_byte_goes_through_base64_and_back)
{
    unsigned char bytes[256];
    char body[512] = "{\"value_b64\":\"";
    static struct outcome_of out;
    size_t size = strlen(body);
    for (unsigned i = 0; i < 256; i++)
        bytes[i] = (unsigned char)i;
    size += base64_encode(BASE64_STANDARD, slice_of(bytes, 256), body + size);
    memcpy(body + size, "\"}", 2);
    read_by(false, slice_of(body, size + 2), &out);
    ck_assert(out.good);
    ck_assert_uint_eq(out.size, 256);
    ck_assert_mem_eq(out.value, bytes, 256);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server_json");
    TCase *tcase = tcase_create("json");
    tcase_add_test(tcase, commas_stand_between_and_only_there);
    tcase_add_test(tcase, numbers_keep_all_64_bits);
    tcase_add_test(tcase, strings_are_escaped);
    tcase_add_test(tcase, what_is_no_text_comes_in_base64);
    tcase_add_test(tcase, the_plain_prefix_ends_at_the_first_odd_byte);
    tcase_add_test(tcase, large_output_grows);
    tcase_add_test(tcase, base64_comes_back_and_has_one_form);
    tcase_add_test(tcase, json_is_what_rfc_8259_says);
    tcase_add_test(tcase, each_byte_in_a_string_is_judged);
    tcase_add_test(tcase, an_escaped_nul_is_refused_with_a_way_out);
    tcase_add_test(tcase, depth_and_number_of_values_have_a_bound);
    tcase_add_test(tcase, members_are_known_single_and_of_their_type);
    tcase_add_test(tcase, a_flood_of_members_ends_at_the_first_strange_one);
    tcase_add_test(tcase, both_ways_to_a_value_agree);
    tcase_add_test(tcase, both_ways_agree_on_damaged_bodies);
    tcase_add_test(tcase, every_byte_goes_through_base64_and_back);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* test_descriptors.c - what a node does with the file descriptors that it may have. */
#include "src/cmd/descriptors.h"

#include <check.h>
#include <stdlib.h>

START_TEST(everyone_gets_a_share_of_any_limit)
{
    struct descriptors share;
    for (uint32_t n_peers = 0; n_peers < 16; n_peers++) {
        ck_assert(!descriptors_share(0, n_peers, 4096, &share));
        uint64_t needed = share.needed;
        ck_assert(!descriptors_share(needed - 1, n_peers, 4096, &share));
        for (uint64_t limit = needed; limit < needed + 10000; limit += 13) {
            ck_assert(descriptors_share(limit, n_peers, 4096, &share));
            ck_assert_uint_le(DESCRIPTORS_OWN + 2 * n_peers + share.clients + share.from_peers, limit);
            ck_assert_uint_ge(share.clients, DESCRIPTORS_CLIENTS_MIN);
            ck_assert_uint_le(share.clients, 4096);
            ck_assert_uint_ge(share.from_peers, 2 * n_peers + DESCRIPTORS_STRANGERS);
            ck_assert_uint_le(share.from_peers, DESCRIPTORS_PEERS_MAX);
        }
    }
}
END_TEST

START_TEST(three_nodes_live_with_64_and_have_all_with_many)
{
    struct descriptors share;
    ck_assert(descriptors_share(64, 2, 4096, &share));
    ck_assert(descriptors_share(20000, 2, 4096, &share));
    ck_assert_uint_eq(share.clients, 4096);
    ck_assert_uint_eq(share.from_peers, DESCRIPTORS_PEERS_MAX);
    ck_assert(descriptors_share(UINT64_MAX / 2, 2, 1000000, &share));
    ck_assert_uint_eq(share.clients, 1000000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("descriptors");
    TCase *tcase = tcase_create("share");
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, everyone_gets_a_share_of_any_limit);
    tcase_add_test(tcase, three_nodes_live_with_64_and_have_all_with_many);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

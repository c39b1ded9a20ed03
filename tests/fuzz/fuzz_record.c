/* fuzz_record.c - a log record as it stands in the log environment; the first 8 bytes of an input
 * are its index. */
#include "tests/fuzz/fuzz.h"

#include <holdfast/wire.h>

enum { INDEX_SIZE = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = { data, size };
    raft_index index = fuzz_number(&in, INDEX_SIZE);
    struct slice bytes = slice_of(in.at, in.left);
    struct record record;
    if (record_decode(index, bytes, &record) != OK)
        return 0;
    FUZZ_MUST(record.index == index && index != 0 && record.term != 0);
    FUZZ_MUST(record.payload.size <= (record.kind == RAFT_NOOP ? 0 : COMMAND_SIZE_MAX));
    struct blob *again = record_encode(&record);
    FUZZ_MUST(slice_equal(blob_slice(again), bytes));
    blob_unref(again);
    /* found under another index it is damage */
    FUZZ_MUST(record_decode(index + 1, bytes, &record) == ERR_CORRUPT);
    return 0;
}

#ifdef HOLDFAST_FUZZING
/* Most of what libFuzzer makes would end at the checksum. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    enum { HEADER_END = INDEX_SIZE + RECORD_HEADER_SIZE };
    size = LLVMFuzzerMutate(data, size, max_size);
    if (size < HEADER_END || seed % 16 == 0)
        return size;
    struct fuzz_input in = { data, INDEX_SIZE };
    uint64_t sum = checksum(fuzz_number(&in, INDEX_SIZE), slice_of(data + INDEX_SIZE, RECORD_HEADER_SIZE - 8));
    fuzz_put_u64(data + HEADER_END - 8, checksum(sum, slice_of(data + HEADER_END, size - HEADER_END)));
    return size;
}
#endif

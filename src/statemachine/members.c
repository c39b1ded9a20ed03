/* members.c - what the members have announced of themselves: names and addresses.
 *
 * Few and small, so all are kept in memory besides their rows in TABLE_MEMBERS, whose value is
 * the announcing command as it stood in the log. */
#include "statemachine_private.h"

#include <holdfast/mutant.h>

enum { MEMBER_KEY_SIZE = 8 };

static void member_key(raft_id id, unsigned char out[MEMBER_KEY_SIZE])
{
    for (int i = 0; i < MEMBER_KEY_SIZE; i++)
        out[i] = (unsigned char)(id >> (8 * (MEMBER_KEY_SIZE - 1 - i)));
}

/* The place of the member, or where it belongs. */
static uint32_t member_place(const struct statemachine *sm, raft_id id)
{
    uint32_t i = 0;
    while (i < sm->n_members && sm->members[i].id < id)
        i++;
    return i;
}

/* False if there is no room for one more. */
static bool remember(struct statemachine *sm, raft_id id, struct slice command)
{
    uint32_t i = member_place(sm, id);
    if (i == sm->n_members || sm->members[i].id != id) {
        if (sm->n_members == MEMBERS_MAX)
            return false;
        memmove(&sm->members[i + 1], &sm->members[i],
                (sm->n_members - i) * sizeof sm->members[0]);
        sm->members[i] = (struct member){ .id = id };
        sm->n_members++;
    }
    struct member *member = &sm->members[i];
    blob_unref(member->announcement);
    member->announcement = blob_copy(command);

    struct command decoded;
    enum err err = command_decode(blob_slice(member->announcement), sm->ops, &decoded);
    ASSERT(err == OK); /* the caller has decoded the same bytes */
    member->info = decoded.member;
    return true;
}

/* The digest of the member's row; 0 if the one at this place is another. */
static uint64_t item_at(const struct statemachine *sm, uint32_t i, raft_id id)
{
    unsigned char key[MEMBER_KEY_SIZE];
    if (i == sm->n_members || sm->members[i].id != id)
        return 0;
    member_key(id, key);
    return digest_item(TABLE_MEMBERS, slice_of(key, sizeof key),
                       blob_slice(sm->members[i].announcement));
}

uint64_t members_sum(const struct statemachine *sm)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < sm->n_members; i++)
        sum += item_at(sm, i, sm->members[i].id);
    return sum;
}

enum err members_announce(struct statemachine *sm, const struct member_info *member,
                          struct slice command)
{
    uint32_t i = member_place(sm, member->id);
    if (sm->configured && configuration_place(&sm->configuration, member->id) < 0)
        return ERR_BAD_REQUEST;
    configuration_move(sm, member->id, member->raft_addr);
    if (i < sm->n_members && sm->members[i].id == member->id &&
        slice_equal(blob_slice(sm->members[i].announcement), command))
        return OK;
    uint64_t before = item_at(sm, i, member->id);
    if (!remember(sm, member->id, command))
        return ERR_TOO_LARGE;

    unsigned char key[MEMBER_KEY_SIZE];
    member_key(member->id, key);
    sm->sum += item_at(sm, i, member->id) - before;
    memcpy(pending_put(&sm->open, TABLE_MEMBERS, slice_of(key, sizeof key), command.size),
           command.data, command.size);
    return OK;
}

void members_forget(struct statemachine *sm, raft_id id)
{
    uint32_t i = member_place(sm, id);
    if (i == sm->n_members || sm->members[i].id != id)
        return;
    sm->sum -= mutant("departed-in-digest") ? 0 : item_at(sm, i, id);
    blob_unref(sm->members[i].announcement);
    sm->n_members--;
    memmove(&sm->members[i], &sm->members[i + 1], (sm->n_members - i) * sizeof sm->members[0]);
    unsigned char key[MEMBER_KEY_SIZE];
    member_key(id, key);
    pending_delete(&sm->open, TABLE_MEMBERS, slice_of(key, sizeof key));
}

static enum err load_one(struct statemachine *sm, struct slice key, struct slice value)
{
    struct command command;
    unsigned char wanted[MEMBER_KEY_SIZE];
    if (command_decode(value, sm->ops, &command) != OK || command.type != COMMAND_ANNOUNCE)
        return ERR_CORRUPT;
    member_key(command.member.id, wanted);
    if (!slice_equal(key, slice_of(wanted, sizeof wanted)))
        return ERR_CORRUPT;
    return remember(sm, command.member.id, value) ? OK : ERR_CORRUPT;
}

enum err members_load(struct statemachine *sm)
{
    const struct state_store_ops *ops = sm->store->ops;
    struct slice key, value;
    struct state_cursor *cursor = ops->cursor_open(sm->store, TABLE_MEMBERS);
    enum err err = ops->seek(cursor, slice_of(NULL, 0), false, &key, &value);
    while (err == OK) {
        err = load_one(sm, key, value);
        if (err == OK)
            err = ops->step(cursor, false, &key, &value);
    }
    ops->cursor_close(cursor);
    return err == ERR_NOT_FOUND ? OK : err;
}

void members_fini(struct statemachine *sm)
{
    for (uint32_t i = 0; i < sm->n_members; i++)
        blob_unref(sm->members[i].announcement);
    sm->n_members = 0;
}

uint32_t statemachine_members(const struct statemachine *sm, struct member_info *out)
{
    for (uint32_t i = 0; i < sm->n_members; i++)
        out[i] = sm->members[i].info;
    return sm->n_members;
}

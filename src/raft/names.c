/* names.c - the words for people. */
#include <holdfast/raft.h>

const char *raft_role_name(enum raft_role role)
{
    switch (role) {
    case RAFT_FOLLOWER:
        return "follower";
    case RAFT_PRECANDIDATE:
        return "pre-candidate";
    case RAFT_CANDIDATE:
        return "candidate";
    case RAFT_LEADER:
        return "leader";
    }
    return "unknown";
}

const char *raft_msg_type_name(enum raft_msg_type type)
{
    switch (type) {
    case RAFT_VOTE:
        return "vote";
    case RAFT_VOTE_REPLY:
        return "vote-reply";
    case RAFT_APPEND:
        return "append";
    case RAFT_APPEND_REPLY:
        return "append-reply";
    case RAFT_HEARTBEAT:
        return "heartbeat";
    case RAFT_HEARTBEAT_REPLY:
        return "heartbeat-reply";
    case RAFT_TIMEOUT_NOW:
        return "timeout-now";
    case RAFT_SNAPSHOT:
        return "snapshot";
    case RAFT_MSG_TYPES:
        break;
    }
    return "unknown";
}

const char *raft_trace_name(uint32_t what)
{
    switch ((enum raft_trace)what) {
    case RAFT_TRACE_ROLE:
        return "role";
    case RAFT_TRACE_TERM:
        return "term";
    case RAFT_TRACE_VOTE:
        return "vote";
    case RAFT_TRACE_APPEND_REFUSED:
        return "append-refused";
    case RAFT_TRACE_TRUNCATE:
        return "truncate";
    case RAFT_TRACE_COMMIT:
        return "commit";
    case RAFT_TRACE_STEP_DOWN:
        return "step-down";
    case RAFT_TRACE_IGNORED:
        return "ignored";
    case RAFT_TRACE_PROBE:
        return "probe";
    case RAFT_TRACE_TRANSFER:
        return "transfer";
    case RAFT_TRACE_TRAIL_FORGOT:
        return "trail-forgot";
    case RAFT_TRACE_MEMBERS:
        return "members";
    case RAFT_TRACE_SNAPSHOT:
        return "snapshot";
    case RAFT_TRACE_COMPACTED:
        return "compacted";
    case RAFT_TRACE_INSTALLED:
        return "installed";
    case RAFT_TRACES:
        break;
    }
    return "unknown";
}

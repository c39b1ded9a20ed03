/* discover_dns.c - the addresses behind a name, of DNS alone: what /etc/hosts says is not looked at.
 *
 * Where there are A records those count, else AAAA records: a node that is reachable by both has one
 * address here.  Of a target of SRV the first address counts. */
#include "discover.h"

#include <holdfast/http.h>

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DNS_ANSWER_MAX = 16 * 1024, DNS_TIMEOUT_S = 2, DNS_TRIES = 2 };

struct lookup {
    struct __res_state resolver;
    unsigned char answer[DNS_ANSWER_MAX];
    ns_msg message;
    char *why;
};

/* The number of records in the answer; 0 as well if there is no such name; -1: see `why`. */
static int ask(struct lookup *lookup, const char *name, ns_type type)
{
    int size = res_nsearch(&lookup->resolver, name, ns_c_in, (int)type, lookup->answer,
                           DNS_ANSWER_MAX);
    int problem = lookup->resolver.res_h_errno;
    if (size < 0 && (problem == HOST_NOT_FOUND || problem == NO_DATA))
        return 0;
    if (size < 0) {
        snprintf(lookup->why, WHY_MAX, "DNS does not answer for %.250s: %s", name, hstrerror(problem));
        return -1;
    }
    if (size > DNS_ANSWER_MAX || ns_initparse(lookup->answer, size, &lookup->message) != 0) {
        snprintf(lookup->why, WHY_MAX, "the answer of DNS for %.250s cannot be read", name);
        return -1;
    }
    return ns_msg_count(lookup->message, ns_s_an);
}

static void add(struct contacts *out, int family, const void *ip, uint16_t port)
{
    char text[INET6_ADDRSTRLEN], address[ADDRESS_MAX + 1];
    if (inet_ntop(family, ip, text, sizeof text) == NULL)
        return;
    snprintf(address, sizeof address, family == AF_INET ? "%s:%u" : "[%s]:%u", text, (unsigned)port);
    for (uint32_t i = 0; i < out->n; i++)
        if (strcmp(out->at[i], address) == 0)
            return;
    out->total++;
    if (out->n < CONTACTS_MAX)
        memcpy(out->at[out->n++], address, sizeof address);
}

/* Adds at most `max` addresses of the name; false: see `why`. */
static bool add_addresses(struct lookup *lookup, const char *name, uint16_t port, uint32_t max,
                          struct contacts *out)
{
    static const struct {
        ns_type type;
        int family;
        size_t size;
    } kinds[] = { { ns_t_a, AF_INET, 4 }, { ns_t_aaaa, AF_INET6, 16 } };
    uint32_t added = 0;
    for (size_t k = 0; k < 2 && added == 0; k++) {
        int n = ask(lookup, name, kinds[k].type);
        if (n < 0)
            return false;
        for (int i = 0; i < n && added < max; i++) {
            ns_rr record;
            if (ns_parserr(&lookup->message, ns_s_an, i, &record) != 0 ||
                ns_rr_type(record) != kinds[k].type || ns_rr_rdlen(record) != kinds[k].size)
                continue; /* such as the CNAME on the way */
            add(out, kinds[k].family, ns_rr_rdata(record), port);
            added++;
        }
    }
    return true;
}

static bool add_services(struct lookup *lookup, const char *name, struct contacts *out)
{
    struct {
        char name[NS_MAXDNAME];
        uint16_t port;
    } targets[CONTACTS_MAX];
    uint32_t n_targets = 0;
    int n = ask(lookup, name, ns_t_srv);
    for (int i = 0; i < n && n_targets < CONTACTS_MAX; i++) {
        ns_rr record;
        if (ns_parserr(&lookup->message, ns_s_an, i, &record) != 0 || ns_rr_type(record) != ns_t_srv ||
            ns_rr_rdlen(record) < 7)
            continue;
        const unsigned char *data = ns_rr_rdata(record); /* priority, weight, port, target */
        if (dn_expand(ns_msg_base(lookup->message), ns_msg_end(lookup->message), data + 6,
                      targets[n_targets].name, sizeof targets[0].name) < 0)
            continue;
        targets[n_targets++].port = (uint16_t)ns_get16(data + 4);
    }
    for (uint32_t i = 0; i < n_targets; i++)
        if (!add_addresses(lookup, targets[i].name, targets[i].port, 1, out))
            return false;
    return n >= 0;
}

static bool use_server(struct lookup *lookup, const char *server)
{
    char host[256], message[HTTP_MESSAGE_MAX];
    uint16_t port;
    struct sockaddr_in address = { .sin_family = AF_INET };
    if (!address_parse(server, false, host, &port, message) ||
        inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        snprintf(lookup->why, WHY_MAX, "dns-server %.200s is no IPv4 address with a port, such as "
                 "10.96.0.10:53", server);
        return false;
    }
    address.sin_port = htons(port);
    lookup->resolver.nsaddr_list[0] = address;
    lookup->resolver.nscount = 1;
    /* Else it reads resolv.conf anew, with the servers there, when the file changes. */
    lookup->resolver.options |= RES_NORELOAD;
    return true;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

bool discover_look_up(const struct discover_source *source, const char *server, struct contacts *out,
                      char *why)
{
    struct lookup *lookup = calloc(1, sizeof *lookup);
    memset(out, 0, sizeof *out);
    if (lookup == NULL || res_ninit(&lookup->resolver) != 0) {
        snprintf(why, WHY_MAX, "the resolver cannot be set up");
        free(lookup);
        return false;
    }
    lookup->why = why;
    lookup->resolver.retrans = DNS_TIMEOUT_S;
    lookup->resolver.retry = DNS_TRIES;
    bool good = server[0] == '\0' || use_server(lookup, server);
    if (good && source->kind == DISCOVER_SRV)
        good = add_services(lookup, source->name, out);
    else if (good)
        good = add_addresses(lookup, source->name, source->port, UINT32_MAX, out);
    res_nclose(&lookup->resolver);
    free(lookup);
    qsort(out->at, out->n, sizeof out->at[0], by_text);
    return good;
}

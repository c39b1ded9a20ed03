/* version.c - `holdfast version`. */
#include "commands.h"

#include <holdfast/client.h>
#include <holdfast/storage.h>

#include <event2/event.h>
#include <stdio.h>

int version_command(int argc, char **argv)
{
    if (argc > 1)
        return usage_error("\"%s\" is too much: version takes nothing", argv[1]);
    printf("holdfast %s\n"
           "lmdb %s\n"
           "libevent %s\n"
           "libcurl %s\n",
           PACKAGE_VERSION, storage_version(), event_get_version(), holdfast_curl_version());
    return COMMAND_OK;
}

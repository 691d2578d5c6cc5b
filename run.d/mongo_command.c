/*
 * mongo_command: one command to a MongoDB server, for scripts
 *
 *     mongo_command URL DATABASE COMMAND
 *     mongo_command 'mongodb://127.0.0.1:7720/?directConnection=true' admin \
 *         '{"hello": 1}'
 *
 * in:  a command as (extended) JSON.  out: the reply as JSON, exit 0; or the
 * server's or the driver's error, exit 1
 */

#include <mongoc/mongoc.h>

#include <stdio.h>

static int command_run(const char *url, const char *database,
    const char *command);
static int command_send(mongoc_uri_t *uri, const char *database,
    const bson_t *command);


int
main(int argc, char **argv)
{
    int  rc;

    if (argc != 4) {
        fprintf(stderr, "usage: mongo_command URL DATABASE COMMAND\n");
        return 2;
    }

    mongoc_init();
    rc = command_run(argv[1], argv[2], argv[3]);
    mongoc_cleanup();

    return rc;
}


static int
command_run(const char *url, const char *database, const char *command)
{
    int            rc;
    bson_t        *bson;
    mongoc_uri_t  *uri;
    bson_error_t   error;

    uri = mongoc_uri_new_with_error(url, &error);

    if (uri == NULL) {
        fprintf(stderr, "mongo_command: %s\n", error.message);
        return 1;
    }

    /* what is not there within a few seconds is not there */

    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS,
                                   3000);
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, 2000);
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, 30000);

    bson = bson_new_from_json((const uint8_t *) command, -1, &error);

    if (bson == NULL) {
        fprintf(stderr, "mongo_command: %s\n", error.message);
        rc = 1;

    } else {
        rc = command_send(uri, database, bson);
        bson_destroy(bson);
    }

    mongoc_uri_destroy(uri);

    return rc;
}


static int
command_send(mongoc_uri_t *uri, const char *database, const bson_t *command)
{
    int               rc;
    char             *text;
    bson_t            reply;
    bson_error_t      error;
    mongoc_client_t  *client;

    client = mongoc_client_new_from_uri(uri);

    if (client == NULL) {
        fprintf(stderr, "mongo_command: the URL cannot be used\n");
        return 1;
    }

    rc = mongoc_client_command_simple(client, database, command, NULL, &reply,
                                      &error)
         ? 0 : 1;

    if (rc) {
        fprintf(stderr, "mongo_command: %s\n", error.message);

    } else {
        text = bson_as_relaxed_extended_json(&reply, NULL);

        if (text) {
            puts(text);
            bson_free(text);
        }
    }

    bson_destroy(&reply);
    mongoc_client_destroy(client);

    return rc;
}

/*
 * ngx_http_push_conf: directives that say more than a number
 *
 * in:   their words, the secret file; out: main and location conf, or a
 *       sentence for the operator.  owns: nothing
 *
 * No message has a password or a secret in it.
 */

#include "ngx_http_push_conf.h"


#define NGX_HTTP_PUSH_SECRET_MIN   16       /* bytes of a line */
#define NGX_HTTP_PUSH_SECRET_FILE  4096     /* bytes of the whole file */


static ngx_int_t ngx_http_push_conf_secrets(ngx_conf_t *cf,
    ngx_http_push_main_conf_t *pmcf, ngx_str_t *path, u_char *text,
    size_t len);
static char *ngx_http_push_conf_redis_auth(ngx_conf_t *cf,
    ngx_http_push_main_conf_t *pmcf, ngx_str_t *auth);


char *
ngx_http_push_conf_node(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_push_main_conf_t  *pmcf = conf;

    ngx_str_t        *value, *url;
    struct push_str   name;

    if (pmcf->node.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    name.data = (char *) value[1].data;
    name.len = value[1].len;

    if (!push_name_valid(name)) {
        return "needs a name of 1 to 128 bytes of A-Z a-z 0-9 . _ : @ -";
    }

    pmcf->node = value[1];

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    url = &value[2];

    if (url->len < 8 || ngx_strncmp(url->data, "deliver=", 8) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"push_node\": "
                           "expected deliver=URL", url);
        return NGX_CONF_ERROR;
    }

    url->data += 8;
    url->len -= 8;

    if (!((url->len > 7 && ngx_strncmp(url->data, "http://", 7) == 0)
          || (url->len > 8 && ngx_strncmp(url->data, "https://", 8) == 0)))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid URL \"%V\" in \"push_node\": "
                           "it begins with http:// or https://", url);
        return NGX_CONF_ERROR;
    }

    pmcf->deliver = *url;

    return NGX_CONF_OK;
}


char *
ngx_http_push_conf_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_push_main_conf_t  *pmcf = conf;

    char       *rv;
    u_char     *at, *p, *last;
    ngx_int_t   db;
    ngx_str_t   url, auth;
    ngx_url_t  *u;

    if (pmcf->redis_url.len) {
        return "is duplicate";
    }

    u = &pmcf->redis;
    url = ((ngx_str_t *) cf->args->elts)[1];

    if (url.len > 5 && ngx_strncmp(url.data, "unix:", 5) == 0) {
        pmcf->redis_url = url;

    } else if (url.len > 8 && ngx_strncmp(url.data, "redis://", 8) == 0) {
        url.data += 8;
        url.len -= 8;
        last = url.data + url.len;
        at = NULL;

        for (p = url.data; p < last; p++) {
            if (*p == '@') {
                at = p;         /* the last one: a password may have more */
            }
        }

        if (at) {
            auth.data = url.data;
            auth.len = at - url.data;

            rv = ngx_http_push_conf_redis_auth(cf, pmcf, &auth);
            if (rv != NGX_CONF_OK) {
                return rv;
            }

            url.data = at + 1;
            url.len = last - url.data;
        }

        pmcf->redis_url = url;

        p = ngx_strlchr(url.data, last, '/');

        if (p) {
            url.len = p++ - url.data;
            db = (p == last) ? 0 : ngx_atoi(p, last - p);

            if (db == NGX_ERROR || db > 65535) {
                return "has a bad database: a number up to 65535 follows "
                       "the last slash";
            }

            pmcf->redis_db = db;
        }

        if (url.len == 0) {
            return "names no host";
        }

    } else {
        return "needs redis://[[user]:password@]host[:port][/db] "
               "or unix:/path";
    }

    u->url = url;
    u->default_port = 6379;

    if (ngx_parse_url(cf->pool, u) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in address \"%V\" of \"push_redis\"",
                           u->err ? u->err : "out of memory", &url);
        return NGX_CONF_ERROR;
    }

    if (u->uri.len || u->naddrs == 0) {
        return "names no address";
    }

    pmcf->redis_file = cf->conf_file->file.name;
    pmcf->redis_line = cf->conf_file->line;

    return NGX_CONF_OK;
}


/* [user]:password, percent encoded; a word without colon is the password */

static char *
ngx_http_push_conf_redis_auth(ngx_conf_t *cf, ngx_http_push_main_conf_t *pmcf,
    ngx_str_t *auth)
{
    u_char     *colon, *dst, *src;
    ngx_str_t   user, password;

    colon = ngx_strlchr(auth->data, auth->data + auth->len, ':');

    if (colon) {
        user.data = auth->data;
        user.len = colon - auth->data;
        password.data = colon + 1;
        password.len = auth->data + auth->len - password.data;

    } else {
        ngx_str_null(&user);
        password = *auth;
    }

    if (password.len == 0) {
        return "has an empty password";
    }

    dst = ngx_pnalloc(cf->pool, user.len + password.len);
    if (dst == NULL) {
        return NGX_CONF_ERROR;
    }

    pmcf->redis_user.data = dst;
    src = user.data;
    ngx_unescape_uri(&dst, &src, user.len, 0);
    pmcf->redis_user.len = dst - pmcf->redis_user.data;

    pmcf->redis_password.data = dst;
    src = password.data;
    ngx_unescape_uri(&dst, &src, password.len, 0);
    pmcf->redis_password.len = dst - pmcf->redis_password.data;

    return NGX_CONF_OK;
}


char *
ngx_http_push_conf_secret_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_push_main_conf_t  *pmcf = conf;

    u_char           *text;
    ssize_t           n;
    ngx_fd_t          fd;
    ngx_int_t         rc;
    ngx_str_t         path;
    ngx_file_info_t   fi;

    if (pmcf->nsecrets) {
        return "is duplicate";
    }

    path = ((ngx_str_t *) cf->args->elts)[1];

    if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    text = ngx_pnalloc(cf->pool, NGX_HTTP_PUSH_SECRET_FILE + 1);
    if (text == NULL) {
        return NGX_CONF_ERROR;
    }

    fd = ngx_open_file(path.data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "cannot open secret file \"%V\"", &path);
        return NGX_CONF_ERROR;
    }

    if (ngx_fd_info(fd, &fi) != NGX_FILE_ERROR && (fi.st_mode & S_IROTH)) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "secret file \"%V\" can be read by everybody",
                           &path);
    }

    n = ngx_read_fd(fd, text, NGX_HTTP_PUSH_SECRET_FILE + 1);

    if (n == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "cannot read secret file \"%V\"", &path);
        rc = NGX_ERROR;

    } else {
        rc = ngx_http_push_conf_secrets(cf, pmcf, &path, text, n);
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", &path);
    }

    return rc == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_push_conf_secrets(ngx_conf_t *cf, ngx_http_push_main_conf_t *pmcf,
    ngx_str_t *path, u_char *text, size_t len)
{
    u_char      *p, *end, *eol, *last;
    ngx_uint_t   line;

    if (len > NGX_HTTP_PUSH_SECRET_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "secret file \"%V\" is longer than %d bytes", path,
                           NGX_HTTP_PUSH_SECRET_FILE);
        return NGX_ERROR;
    }

    end = text + len;
    line = 0;

    for (p = text; p < end; p = eol + 1) {
        line++;

        eol = ngx_strlchr(p, end, '\n');
        if (eol == NULL) {
            eol = end;
        }

        last = (eol > p && eol[-1] == '\r') ? eol - 1 : eol;

        if (line > NGX_HTTP_PUSH_SECRETS) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "secret file \"%V\" has more than %d lines",
                               path, NGX_HTTP_PUSH_SECRETS);
            return NGX_ERROR;
        }

        if (last - p < NGX_HTTP_PUSH_SECRET_MIN) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "line %ui of secret file \"%V\" has %z bytes, "
                               "at least %d are needed", line, path,
                               (ssize_t) (last - p), NGX_HTTP_PUSH_SECRET_MIN);
            return NGX_ERROR;
        }

        pmcf->secrets[line - 1].data = p;
        pmcf->secrets[line - 1].len = last - p;

        for ( /* void */ ; p < last; p++) {
            if (*p <= ' ' || *p >= 0x7f) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "line %ui of secret file \"%V\" has a byte "
                                   "that is no printable ASCII", line, path);
                return NGX_ERROR;
            }
        }
    }

    if (line == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "secret file \"%V\" is empty",
                           path);
        return NGX_ERROR;
    }

    pmcf->nsecrets = line;

    return NGX_OK;
}


char *
ngx_http_push_conf_origins(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_push_loc_conf_t  *plcf = conf;

    u_char      *p, *host, *last;
    ngx_str_t   *value, *origin;
    ngx_uint_t   i;

    if (plcf->origins != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "any") == 0) {
        plcf->origins = NULL;
        return NGX_CONF_OK;
    }

    plcf->origins = ngx_array_create(cf->pool, cf->args->nelts - 1,
                                     sizeof(ngx_str_t));
    if (plcf->origins == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        last = value[i].data + value[i].len;
        host = ngx_strnstr(value[i].data, "://", value[i].len);

        if (host == NULL || host == value[i].data || host + 3 == last) {
            goto invalid;
        }

        /* browsers write scheme and host in lower case and no path */

        for (p = value[i].data; p < last; p++) {
            if (*p <= ' ' || *p >= 0x7f || (*p >= 'A' && *p <= 'Z')
                || (p >= host + 3 && ngx_strchr("/?#@*", *p)))
            {
                goto invalid;
            }
        }

        origin = ngx_array_push(plcf->origins);
        if (origin == NULL) {
            return NGX_CONF_ERROR;
        }

        *origin = value[i];
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid origin \"%V\" in \"push_origins\": expected "
                       "scheme://host or scheme://host:port, in lower case, "
                       "or the one word any",
                       &value[i]);
    return NGX_CONF_ERROR;
}


char *
ngx_http_push_conf_send_queue(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_push_loc_conf_t  *plcf = conf;

    ssize_t     size;
    ngx_int_t   count;
    ngx_str_t  *value;

    if (plcf->queue_count != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    count = ngx_atoi(value[1].data, value[1].len);

    if (count == NGX_ERROR || count < 1 || count > 8192) {
        return "needs a count of 1 to 8192 messages first";
    }

    size = ngx_parse_size(&value[2]);

    if (size == NGX_ERROR || size < 1024 || size > 16 * 1024 * 1024) {
        return "needs a size of 1k to 16m second";
    }

    plcf->queue_count = count;
    plcf->queue_bytes = size;

    return NGX_CONF_OK;
}

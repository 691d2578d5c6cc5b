/*
 * check_state: what the checker remembers, for its two halves
 */

#ifndef CHECK_STATE_H
#define CHECK_STATE_H

#include "base.h"
#include "check.h"

#define CHECK_EPOCHS  4
#define CHECK_SEQS    8192

/* What the checker knows of a device. */
struct check_device {
    uint8_t had[SIM_MESSAGES];      /* the app was given it, this history */
    int64_t start[FRAME_LOGS];      /* where delivery began, -1: not yet */
    int64_t pos[FRAME_LOGS];        /* highest seq given or voided */
    int64_t seen[FRAME_LOGS];       /* on this connection, -1: none */
    int64_t acked[CHECK_EPOCHS][FRAME_LOGS];
    int64_t connected_us;
    int64_t previous_us;
    bool    reset;                  /* was told on this connection */
    unsigned epoch;                 /* at its last connect */
};

extern struct check_message  check_table[SIM_MESSAGES];
extern unsigned              check_count;       /* message 0 is none */
extern unsigned              check_epoch;       /* 0, 1 after a restore */
extern struct check_device   check_devices[SIM_DEVICES];

/* A verdict is there. */
bool check_over(void);

#endif

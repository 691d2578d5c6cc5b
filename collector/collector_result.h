/*
 * collector_result: what a publish request is told
 *
 *     single  201, 200 {"id":…}   202 {"log":…}   400 409 413 503 problem
 *     users   the same in a list; with faults the worst status, and `results`
 *     batch   200, one line an entry: {"status":201,"id":…}
 *
 * in: a job with its outcomes.  out: text.  owns: nothing
 */

#ifndef COLLECTOR_RESULT_H
#define COLLECTOR_RESULT_H

#include "collector_job.h"

/* Adds the lines of a batch's slice to job->out. */
void collector_result_lines(struct collector_job *job);

/* Answers job->request, which is gone then. */
void collector_result_answer(struct collector_job *job);

#endif

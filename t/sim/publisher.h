/*
 * publisher: a business that publishes, with keys, until it is told
 *
 *     message --POST--> a collector --201, 200--> the next one
 *        ^                  |
 *        +---- the same key, perhaps elsewhere <-- 503, time-out
 */

#ifndef SIM_PUBLISHER_H
#define SIM_PUBLISHER_H

#include "sim.h"

void publisher_init(void);

/* One message of the calm phase; 0: the last one is still under way. */
unsigned publisher_calm(void);

#endif

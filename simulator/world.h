/* world: the same gateway as in production, in a surrounding of faults that one seed draws: a
 * broker that delivers again, a disk that fails and loses power, a cloud that comes and goes,
 * and a death at every step of a turn. Virtual time, one thread; the same seed and commit give
 * the same world, bit for bit. The store is the real one, on simulator/faulty_vfs.
 *
 * Always (checked at every restart and at the end):
 *
 *   A1  a message whose acknowledgement left is in the journal, or among the dead letters
 *
 *   A2  no reading is in the journal twice
 *
 *   A3  the ledger balances, and its `stored` is the number of readings journalled
 *
 *   A4  the state that goes on after a restart is the one that folding the whole journal gives,
 * at every block
 *
 *   A5  a (lane, sequence) is only ever given to one payload, and an (alert, revision) has one
 * rendering
 *
 *   A6  two revisions of one alert are never in flight together
 *
 *   A7  nothing is sent that no commit holds
 *
 *   A8  an acknowledgement covers nothing that its commit does not hold: in half of the worlds the
 *   messages come from devices (each has its own), else from a broker (all go together)
 *
 * Eventually (after the faults have ended, within
 * bounded virtual time):
 *
 *   E1  every message that the broker took is acknowledged, and every good reading is stored
 *
 *   E2  the receiver has each lane without a hole, and the outbox is empty
 *
 *   E3  the receiver's alerts are those of the journal's fold: the same alerts, each at its last
 * revision
 *
 *   E4  each revision took effect at most once, in order And over a run of many worlds: every
 * fault and every step in WORLD_EVENTS occurred at least once. */
#ifndef SIMULATOR_WORLD_H
#define SIMULATOR_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "firmware/gateway/gateway.h"
#include "pipeline/err.h"

/* What may happen in a world, counted, so that a world that never cut the power is not mistaken
 * for a proof. */
#define WORLD_EVENTS(X)                                                                            \
    X(MESSAGE_TAKEN, "message_taken")                                                              \
    X(MESSAGE_REDELIVERED, "message_redelivered")                                                  \
    X(MESSAGE_REPEATED_BY_DEVICE, "message_repeated_by_device")                                    \
    X(MESSAGE_MALFORMED, "message_malformed")                                                      \
    X(MESSAGE_LATE, "message_late")                                                                \
    X(BROKER_LOST, "broker_lost")                                                                  \
    X(ACKNOWLEDGEMENT_LOST, "acknowledgement_lost")                                                \
    X(ACKNOWLEDGED_IN_PART, "acknowledged_in_part")                                                \
    X(COMMIT_DONE, "commit_done")                                                                  \
    X(COMMIT_FAILED, "commit_failed")                                                              \
    X(COMMIT_DELAYED, "commit_delayed")                                                            \
    X(COMMIT_WITHOUT_READINGS, "commit_without_readings")                                          \
    X(DISK_ERROR, "disk_error")                                                                    \
    X(POWER_CUT_IN_COMMIT, "power_cut_in_commit")                                                  \
    X(POWER_CUT_BETWEEN, "power_cut_between")                                                      \
    X(KILLED_AFTER_BEGIN_TURN, "killed_after_begin_turn")                                          \
    X(KILLED_AFTER_MESSAGE, "killed_after_message")                                                \
    X(KILLED_BEFORE_COMMIT, "killed_before_commit")                                                \
    X(KILLED_AFTER_COMMIT, "killed_after_commit")                                                  \
    X(KILLED_AT_ACKNOWLEDGEMENT, "killed_at_acknowledgement")                                      \
    X(KILLED_AT_SEND, "killed_at_send")                                                            \
    X(KILLED_AFTER_END_TURN, "killed_after_end_turn")                                              \
    X(KILLED_WHILE_STOPPING, "killed_while_stopping")                                              \
    X(STOPPED_IN_ORDER, "stopped_in_order")                                                        \
    X(RESTARTED_FROM_CHECKPOINT, "restarted_from_checkpoint")                                      \
    X(RESTARTED_FROM_JOURNAL, "restarted_from_journal")                                            \
    X(CLOCK_STEPPED, "clock_stepped")                                                              \
    X(TIMER_FIRED, "timer_fired")                                                                  \
    X(CLOUD_LOST, "cloud_lost")                                                                    \
    X(CLOUD_BROKER_CRASHED, "cloud_broker_crashed")                                                \
    X(CLOUD_REFUSED, "cloud_refused")                                                              \
    X(HOLE_ASKED_FOR, "hole_asked_for")                                                            \
    X(RECEIPT_SENT, "receipt_sent")                                                                \
    X(ALERT_APPLIED, "alert_applied")                                                              \
    X(ALERT_REPEAT_IGNORED, "alert_repeat_ignored")                                                \
    X(RESULTS_RECEIVED, "results_received")                                                        \
    X(DUPLICATE_FOUND, "duplicate_found")                                                          \
    X(SHED_LEVEL_CHANGED, "shed_level_changed")                                                    \
    X(JOURNAL_PRUNED, "journal_pruned")                                        \
    X(OUTAGE_OF_THE_STORE, "outage_of_the_store")

enum world_event {
#define X(name, text) WORLD_##name,
    WORLD_EVENTS(X)
#undef X
        WORLD_EVENT_COUNT
};

const char *world_event_name(enum world_event event);

struct world_outcome {
    bool passed;
    char broken[320]; /* which invariant, where, and what was found */
    uint64_t events[WORLD_EVENT_COUNT];
    uint64_t turns, messages, restarts, alerts;
    uint64_t digest[2]; /* of the final state: the same seed, the same digest */
};

/* Live through one world. Memory comes from the heap and is given back. `trace` prints every
 * step. */
struct world_outcome world_run(uint64_t seed, bool trace);

int world_main(int argc, char **argv);

#endif

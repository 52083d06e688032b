/* world: the same gateway as in production, in a surrounding of faults that one seed draws: brokers
 * that deliver again, devices that are late, repeat themselves, reboot and have wrong clocks, a
 * machine whose clock is unset or steps, a disk that fails and loses power, a cloud that comes and
 * goes, and a death at every step of a turn. Virtual time, one thread; the same seed and commit
 * give the same world, bit for bit. The store is the real one, on simulator/faulty_vfs. The
 * configuration is drawn too (world_config.c).
 *
 * Always (at the step that could break it, at every restart and at the end):
 *
 *   A1  when a message's acknowledgement leaves, each of its good readings is in the journal, and
 *       each bad one is counted there and among the dead letters; and it stays there, as does all
 *       that a commit held or a restart found, until retention removes it
 *   A2  no reading is in the journal twice, unless dedup.h's horizon had passed it: its run of
 *       numbers was given up for want of ranges, or `keep` newer hashes had come
 *   A3  the ledger balances, is the one of the last commit, and says of `stored` and `rejected`
 *       what the journal says
 *   A4  the state at the end of every block is the one that folding the journal from its first
 *       block gives, whatever checkpoint and restart it came by
 *   A5  a (lane, sequence) is only ever given to one payload, an (alert, revision) to one sequence
 *   A6  two revisions of one alert are never in flight together
 *   A7  nothing is sent that no commit holds
 *   A8  what a block's records make the engine say is what its commit puts into the outbox: each
 *       revision of an alert, each window's result and each raw reading, once, alerts in order
 *   A9  a row leaves the outbox when a receipt (or, without receipts, a PUBACK) covers it; and a
 *       gap event stands only where a row was refused too often or the lane's share was full
 *   A10 timers fire in the order of their deadlines, and none before its time
 *   A11 the revisions of an alert are 1, 2, 3, ... and its last one clears it
 *   A12 a reading is dropped at QoS 0 and shed level 4 only, and the ledger counts each; it counts
 *       each result and raw reading too that levels 2 to 4 keep from leaving, and nothing else does
 *   A13 the shed level in the journal goes up and down by one; a new life begins at 0
 *   A14 what a block says that it made (RECORD_MADE) is what its fold makes, bit for bit, and a
 *       block that does not say made nothing
 *   A15 at QoS 2, a commit that has a message's row has all of it, or those before it have; a
 *       message is acknowledged only when its row is committed; and the rows that a restart finds
 *       are those of the commits, until they end
 *
 * Eventually (after the faults have ended, within bounded virtual time):
 *
 *   E1  every message that a broker took for a persistent session is acknowledged
 *   E2  the receiver has each lane without a hole, and the outbox is empty
 *   E3  the receiver's alerts are those of the journal's fold, each at its last revision, except
 *       where a gap event told it that it lacks one
 *   E4  every reading stored is counted in one window's last result, or as late; so is every one
 *       that a stream took
 *   E5  nothing is shed any more
 *
 * And over a run of many worlds: every fault and every step in WORLD_EVENTS occurred at least once.
 */
#ifndef SIMULATOR_WORLD_H
#define SIMULATOR_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "firmware/gateway/gateway.h"
#include "pipeline/err.h"

/* What may happen in a world, counted, so that a world that never cut the power is not mistaken for
 * a proof. */
/* clang-format off */
#define WORLD_EVENTS(X)                                                                            \
    /* messages */                                                                                 \
    X(MESSAGE_TAKEN, "message_taken")                                                              \
    X(MESSAGE_REDELIVERED, "message_redelivered")                                                  \
    X(MESSAGE_REPEATED_BY_DEVICE, "message_repeated_by_device")                                    \
    X(MESSAGE_MALFORMED, "message_malformed")                                                      \
    X(MESSAGE_PARTLY_BAD, "message_partly_bad")                                                    \
    X(MESSAGE_LATE, "message_late")                                                                \
    X(MESSAGE_FROM_THE_FUTURE, "message_from_the_future")                                          \
    X(MESSAGE_OF_MANY_READINGS, "message_of_many_readings")                                        \
    X(MESSAGE_OVER_TWO_BLOCKS, "message_over_two_blocks")                                          \
    X(MESSAGE_WITHOUT_SEQUENCE, "message_without_sequence")                                        \
    X(MESSAGE_AT_QOS_0, "message_at_qos_0")                                                        \
    X(MESSAGE_LOST_AT_QOS_0, "message_lost_at_qos_0")                                              \
    X(DEVICE_REBOOTED, "device_rebooted")                                                          \
    X(DEVICE_CLOCK_STEPPED, "device_clock_stepped")                                                \
    X(DUPLICATE_FOUND, "duplicate_found")                                                          \
    X(DUPLICATE_BEYOND_HORIZON, "duplicate_beyond_horizon")                                        \
    X(BROKER_LOST, "broker_lost")                                                                  \
    X(ACKNOWLEDGEMENT_LOST, "acknowledgement_lost")                                                \
    X(ACKNOWLEDGED_IN_PART, "acknowledged_in_part")                                                \
    X(EXCHANGE_ENDED, "exchange_ended")                                                            \
    X(EXCHANGE_OVER_A_RESTART, "exchange_over_a_restart")                                          \
    /* commits and the disk */                                                                     \
    X(COMMIT_DONE, "commit_done")                                                                  \
    X(COMMIT_FAILED, "commit_failed")                                                              \
    X(COMMIT_DELAYED, "commit_delayed")                                                            \
    X(COMMIT_WITHOUT_READINGS, "commit_without_readings")                                          \
    X(DISK_ERROR, "disk_error")                                                                    \
    X(DISK_FULL, "disk_full")                                                                      \
    X(DISK_ERROR_AT_START, "disk_error_at_start")                                                  \
    X(POWER_CUT_IN_COMMIT, "power_cut_in_commit")                                                  \
    X(POWER_CUT_AT_START, "power_cut_at_start")                                                    \
    X(POWER_CUT_BETWEEN, "power_cut_between")                                                      \
    X(COMMIT_HEARD_OF_AFTER_RESTART, "commit_heard_of_after_restart")                              \
    X(JOURNAL_PRUNED, "journal_pruned")                                                            \
    X(OUTAGE_OF_THE_STORE, "outage_of_the_store")                                                  \
    /* deaths and returns */                                                                       \
    X(KILLED_AFTER_BEGIN_TURN, "killed_after_begin_turn")                                          \
    X(KILLED_AFTER_MESSAGE, "killed_after_message")                                                \
    X(KILLED_BEFORE_COMMIT, "killed_before_commit")                                                \
    X(KILLED_IN_COMMIT, "killed_in_commit")                                                        \
    X(KILLED_AFTER_COMMIT, "killed_after_commit")                                                  \
    X(KILLED_AFTER_FAILURE, "killed_after_failure")                                                \
    X(KILLED_AT_ACKNOWLEDGEMENT, "killed_at_acknowledgement")                                      \
    X(KILLED_AT_SEND, "killed_at_send")                                                            \
    X(KILLED_AFTER_END_TURN, "killed_after_end_turn")                                              \
    X(KILLED_AT_START, "killed_at_start")                                                          \
    X(KILLED_WHILE_STOPPING, "killed_while_stopping")                                              \
    X(STOPPED_IN_ORDER, "stopped_in_order")                                                        \
    X(STOPPED_AMID_FAULTS, "stopped_amid_faults")                                                  \
    X(RESTARTED_FROM_CHECKPOINT, "restarted_from_checkpoint")                                      \
    X(RESTARTED_FROM_JOURNAL, "restarted_from_journal")                                            \
    /* time and people */                                                                          \
    X(CLOCK_UNSET, "clock_unset")                                                                  \
    X(CLOCK_COARSE, "clock_coarse")                                                                \
    X(CLOCK_STEPPED, "clock_stepped")                                                              \
    X(TIMER_FIRED, "timer_fired")                                                                  \
    X(READING_TOO_LATE, "reading_too_late")                                                        \
    X(STREAM_RESULT, "stream_result")                                                              \
    X(STREAM_REVISION, "stream_revision")                                                          \
    X(STREAM_RETRACTION, "stream_retraction")                                                      \
    X(STREAM_KEY_EVICTED, "stream_key_evicted")                                                    \
    X(SOURCES_READ_SLOWLY, "sources_read_slowly")                                                  \
    X(SHED_LEVEL_CHANGED, "shed_level_changed")                                                    \
    X(SHED_LEVEL_HIGHEST, "shed_level_highest")                                                    \
    X(RESULT_LEFT_OUT, "result_left_out")                                                          \
    X(RAW_LEFT_OUT, "raw_left_out")                                                                \
    X(READING_DROPPED, "reading_dropped")                                                          \
    X(RESTARTED_WHILE_SHEDDING, "restarted_while_shedding")                                        \
    X(ALERT_ACKNOWLEDGED, "alert_acknowledged")                                                    \
    X(ALERT_SHELVED, "alert_shelved")                                                              \
    X(DEVICE_MAINTAINED, "device_maintained")                                                      \
    X(INVENTORY_RELOADED, "inventory_reloaded")                                                    \
    X(QUESTION_ANSWERED, "question_answered")                                                      \
    /* the cloud */                                                                                \
    X(CLOUD_LOST, "cloud_lost")                                                                    \
    X(CLOUD_AWAY_FOR_LONG, "cloud_away_for_long")                                                  \
    X(CLOUD_BROKER_CRASHED, "cloud_broker_crashed")                                                \
    X(CLOUD_REFUSED, "cloud_refused")                                                              \
    X(ROW_REFUSED_TOO_OFTEN, "row_refused_too_often")                                              \
    X(GAP_RECEIVED, "gap_received")                                                                \
    X(HOLE_ASKED_FOR, "hole_asked_for")                                                            \
    X(RECEIPT_SENT, "receipt_sent")                                                                \
    X(COVERED_BY_PUBACK, "covered_by_puback")                                                      \
    X(ALERT_APPLIED, "alert_applied")                                                              \
    X(ALERT_REPEAT_IGNORED, "alert_repeat_ignored")                                                \
    X(RESULTS_RECEIVED, "results_received")                                                        \
    X(RAW_RECEIVED, "raw_received")
/* clang-format on */

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

/* Live through one world. Memory comes from the heap and is given back. `trace` prints each step.
 */
struct world_outcome world_run(uint64_t seed, bool trace);

int world_main(int argc, char **argv);

#endif

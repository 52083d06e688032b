/* config_schema_alerts: the rows of the schema's table that are about alerts. For config_schema.c
 * alone, which has the macros that they are written with. */
#ifndef FIRMWARE_CONFIG_SCHEMA_ALERTS_H
#define FIRMWARE_CONFIG_SCHEMA_ALERTS_H

#define ALERT_KEYS \
    { SECTION_ALERTS, "reject_rate", KEY_RATE, FIELD(config, reject_rate_max), 0, 60e6, \
      .fallback = "60/m", .doc = "More rejected readings than this raise an alert; 0: never." }, \
    { SECTION_ALERTS, "lag_grows_for", KEY_DURATION, FIELD(config, engine.lag_grows_for_ms), \
      1 * SECONDS, 1 * DAYS, .zero_off = true, .fallback = "5m", \
      .doc = "A lag that has grown for so long raises an alert; 0: never." }, \
    { SECTION_ALERTS, "shed_for", KEY_DURATION, FIELD(config, engine.shed_for_ms), 1 * SECONDS, \
      1 * DAYS, .zero_off = true, .fallback = "15m", \
      .doc = "So does anything left out under pressure for longer; 0: never." }, \
    { SECTION_ALERTS, "group_within", KEY_DURATION, FIELD(config, engine.alarms.group_ms), \
      1 * SECONDS, 1 * HOURS, .zero_off = true, .fallback = "1m", \
      .doc = "A device's alerts that begin within it are one incident; 0: there are none." }, \
    { SECTION_ALERTS, "storm", KEY_INTEGER, FIELD(config, engine.alarms.flood.most), 1, \
      FLOOD_INCIDENTS_MAX, .zero_off = true, .fallback = "10", \
      .doc = "More incidents within storm_within are a storm, and one alert says so; 0: never." }, \
    { SECTION_ALERTS, "storm_within", KEY_DURATION, FIELD(config, engine.alarms.flood.span_ms), \
      1 * SECONDS, 1 * DAYS, .fallback = "10m", .doc = "The span for that." }, \
    { SECTION_ALERTS, "budget", KEY_INTEGER, FIELD(config, engine.alarms.budget), 1, 10000, \
      .zero_off = true, .fallback = "10", \
      .doc = "Alerts of a series a day that are worth calling for; 0: any number." }, \
    { SECTION_ALERTS, "stale_after", KEY_DURATION, FIELD(config, engine.alarms.stale_ms), \
      1 * SECONDS, 365 * DAYS, .zero_off = true, .fallback = "1d", \
      .doc = "An alert that stands for longer is listed as stale; 0: never." }, \
    { SECTION_ALERTS, "signal_severity", KEY_ENUM, FIELD(config, signal_severity), \
      .fallback = "major", .choices = "info|warning|minor|major|critical", \
      .doc = "Open alerts at least so bad turn the relay on and show on the LED." }

/* When an anomaly becomes an alert, and when that is over. */
#define DELAY_KEYS \
    { SECTION_DETECTOR, "for", KEY_DURATION, FIELD(detector_config, for_ms), 0, 1 * DAYS, \
      .doc = "The anomaly must last so long before it is an alert." }, \
    { SECTION_DETECTOR, "for_readings", KEY_INTEGER, FIELD(detector_config, for_readings), 1, \
      DETECTOR_READINGS_MAX, .kinds = ~KIND(DETECTOR_SILENT), \
      .doc = "And so many readings must be anomalous, in a row or of `of_readings`." }, \
    { SECTION_DETECTOR, "of_readings", KEY_INTEGER, FIELD(detector_config, of_readings), 2, \
      DETECTOR_READINGS_MAX, .zero_off = true, .kinds = ~KIND(DETECTOR_SILENT), \
      .doc = "Of the last so many that it judged, `for_readings` must be; 0: in a row." }, \
    { SECTION_DETECTOR, "clear_after", KEY_DURATION, FIELD(detector_config, clear_after_ms), 0, \
      1 * DAYS, .doc = "And be gone so long before the alert is cleared." }, \
    { SECTION_DETECTOR, "clear_readings", KEY_INTEGER, FIELD(detector_config, clear_readings), 1, \
      DETECTOR_CLEAR_READINGS_MAX, .kinds = ~KIND(DETECTOR_SILENT), \
      .doc = "And so many usual readings in a row must have come." }, \
    { SECTION_DETECTOR, "latch", KEY_BOOLEAN, FIELD(detector_config, latch), \
      .doc = "True: it is not cleared before somebody has acknowledged it." }, \
    { SECTION_DETECTOR, "cooldown", KEY_DURATION, FIELD(detector_config, cooldown_ms), 0, \
      30 * DAYS, \
      .doc = "No new alert of this rule and series for so long after that." }, \
    { SECTION_DETECTOR, "escalate_after", KEY_DURATION, FIELD(detector_config, escalate_after_ms), \
      1 * SECONDS, 30 * DAYS, .zero_off = true, \
      .doc = "A step of severity more after so long, one more after four times that; 0: never." }, \
    { SECTION_DETECTOR, "escalate_score", KEY_NUMBER, FIELD(detector_config, escalate_score), 1, \
      1000, .zero_off = true, \
      .doc = "And a step when the score is so many times the threshold; 0: never." }, \
    { SECTION_DETECTOR, "chatter", KEY_BOOLEAN, FIELD(detector_config, chatter), \
      .doc = "One that comes and goes is flagged, and cleared four times as late." }, \
    { SECTION_DETECTOR, "severity", KEY_ENUM, FIELD(detector_config, severity), \
      .choices = "info|warning|minor|major|critical", .doc = "How bad it is." }

#endif

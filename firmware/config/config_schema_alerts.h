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

#endif

/* config_schema_contracts: the rows of the schema's table that are about contracts, and about what
 * of a payload is not kept. For config_schema.c alone, which has the macros that they are written
 * with. */
#ifndef FIRMWARE_CONFIG_SCHEMA_CONTRACTS_H
#define FIRMWARE_CONFIG_SCHEMA_CONTRACTS_H

#define CONTRACT_KEYS \
    { SECTION_CONTRACT, "name", KEY_NAME, FIELD(contract, name), .required = true, \
      .doc = "The name by which sources refer to it." }, \
    { SECTION_CONTRACT, "version", KEY_INTEGER, FIELD(contract, version), 1, 1000000, \
      .fallback = "1", \
      .doc = "Grows with each change; results and alerts carry it." }, \
    { SECTION_CONTRACT, "allow_unknown", KEY_BOOLEAN, FIELD(contract, allow_unknown), \
      .fallback = "false", .doc = "Whether metrics that are not listed are accepted." }, \
    { SECTION_CONTRACT, "metrics", KEY_LIST, FIELD(contract, metrics), .required = true, \
      .child = SECTION_METRIC, .count = offsetof(struct contract, metric_count), \
      .items_max = CONTRACT_METRICS_MAX, .doc = "The metrics of the contract." }, \
    { SECTION_METRIC, "name", KEY_TEXT, FIELD(contract_metric, name), .required = true, \
      .doc = "The metric's name." }, \
    { SECTION_METRIC, "type", KEY_ENUM, FIELD(contract_metric, type), .fallback = "number", \
      .choices = "number|boolean|text", .doc = "The type of its values." }, \
    { SECTION_METRIC, "unit", KEY_TEXT, FIELD(contract_metric, unit), .fallback = "", \
      .doc = "A reading that names another unit is refused; empty: any." }, \
    { SECTION_METRIC, "min", KEY_NUMBER, FIELD(contract_metric, min), \
      .given = offsetof(struct contract_metric, has_min), .doc = "Least value accepted." }, \
    { SECTION_METRIC, "max", KEY_NUMBER, FIELD(contract_metric, max), \
      .given = offsetof(struct contract_metric, has_max), .doc = "Greatest value accepted." }, \
    { SECTION_METRIC, "required", KEY_BOOLEAN, FIELD(contract_metric, required), \
      .fallback = "false", \
      .doc = "Whether each message with several metrics must hold it." }, \
    { SECTION_PII, "field", KEY_POINTER, FIELD(pii_field, pointer), .required = true, \
      .doc = "Every member that this pointer leads to, from anything in the message on." }, \
    { SECTION_PII, "pii", KEY_ENUM, FIELD(pii_field, by), .fallback = "drop", \
      .choices = "drop|hmac", \
      .doc = "drop: null stands in its place; hmac: a name for it by `gateway.pii_key`." }

#endif

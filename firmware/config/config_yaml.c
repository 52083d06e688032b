/* The walk: libyaml's document against the schema. libyaml gives the place of every node; a first
 * pass over its events refuses what a configuration has no use for (anchors, tags, a second
 * document), so no alias is ever expanded. The walk follows the table, not the file: it ends where
 * the table ends, however deep the file nests. */
#include "firmware/config/config_parts.h"

#include <assert.h>
#include <yaml.h>

#include "pipeline/detect/detector.h"
#include "pipeline/err.h"

enum { SECTION_KEYS_MAX = 40 };

static struct config_place place_of_mark(const yaml_mark_t *start, const yaml_mark_t *end)
{
    bool one_line = end != NULL && end->line == start->line && end->column > start->column;
    return (struct config_place){ .line = (uint32_t)start->line + 1,
                                  .column = (uint32_t)start->column + 1,
                                  .width = one_line ? (uint32_t)(end->column - start->column) : 1 };
}

static struct config_place place_of(const yaml_node_t *node)
{
    return place_of_mark(&node->start_mark,
                         node->type == YAML_SCALAR_NODE ? &node->end_mark : NULL);
}

static struct text text_of_node(const yaml_node_t *node)
{
    return (struct text){ (const char *)node->data.scalar.value,
                          (uint32_t)node->data.scalar.length };
}

/* --- syntax ------------------------------------------------------------------------------ */

/* A reader's fault (bad UTF-8) has no mark, only an offset in bytes. */
static struct config_place place_of_offset(const struct config_reader *r, size_t offset)
{
    struct config_place place = { .line = 1, .column = 1, .width = 1 };
    for (size_t i = 0; i < offset && i < r->text.bytes; i++) {
        bool newline = r->text.at[i] == '\n';
        bool inside = ((uint8_t)r->text.at[i] & 0xc0) == 0x80;
        place.line += newline;
        place.column = newline ? 1 : place.column + !inside;
    }
    return place;
}

static bool tab_before(const struct config_reader *r, struct config_place place)
{
    uint32_t line = 1;
    for (uint32_t i = 0; i < r->text.bytes && line <= place.line; i++) {
        if (line == place.line && r->text.at[i] == '\t')
            return true;
        if (line == place.line && r->text.at[i] != ' ' && r->text.at[i] != '\n')
            return false;
        line += r->text.at[i] == '\n';
    }
    return false;
}

static void syntax_fault(struct config_reader *r, const yaml_parser_t *parser)
{
    bool marked = parser->error != YAML_READER_ERROR && parser->error != YAML_MEMORY_ERROR;
    struct config_place place = marked ? place_of_mark(&parser->problem_mark, NULL)
                                       : place_of_offset(r, parser->problem_offset);
    const char *problem = parser->problem != NULL ? parser->problem : "it can't be read";
    struct config_fault *f = fault_new(r, place, "this is not YAML: %s", problem);
    if (parser->context != NULL)
        fault_why(f, "%s that begins at line %zu, column %zu", parser->context,
                  parser->context_mark.line + 1, parser->context_mark.column + 1);
    else
        fault_why(f, "nothing behind a fault of syntax can be understood");
    if (tab_before(r, place))
        fault_fix(f, "indent with spaces; YAML allows no tab there");
    else if (!marked)
        fault_fix(f, "save the file as UTF-8 text without control characters");
    else
        fault_fix(f,
                  "look at the indentation, the colon and the quotes here and on the line before");
}

/* One of each kind is enough to tell. */
static void refuse(struct config_reader *r, const yaml_event_t *event, const char *what,
                   const char *fix)
{
    for (uint32_t i = 0; i < r->fault_count && i < CONFIG_FAULTS_MAX; i++)
        if (strncmp(r->faults[i].message, what, strlen(what)) == 0)
            return;
    struct config_place place = place_of_mark(&event->start_mark, &event->end_mark);
    struct config_fault *f = fault_new(r, place, "%s can't be used here", what);
    fault_why(f, "the file says everything once and in full, so that a reader sees what applies");
    fault_fix(f, "%s", fix);
}

static void refuse_event(struct config_reader *r, const yaml_event_t *event, uint32_t *documents)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        refuse(r, event, "an alias (*name)", "write the value here");
        return;
    case YAML_DOCUMENT_START_EVENT:
        if (++*documents > 1)
            refuse(r, event, "a second document (---)", "keep one document in the file");
        return;
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    default:
        return;
    }
    if (anchor != NULL)
        refuse(r, event, "an anchor (&name)", "write the value without it");
    if (tag != NULL)
        refuse(r, event, "a tag (!name)", "write the value without it");
}

static bool syntax_clean(struct config_reader *r)
{
    yaml_parser_t parser;
    yaml_event_t event;
    uint32_t documents = 0;
    if (yaml_parser_initialize(&parser) == 0)
        return (void)fault_new(r, (struct config_place){ 0 }, "no memory to read the file"), false;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)r->text.at, r->text.bytes);
    for (bool more = true; more;) {
        if (yaml_parser_parse(&parser, &event) == 0) {
            syntax_fault(r, &parser);
            break;
        }
        refuse_event(r, &event, &documents);
        more = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return r->fault_count == 0;
}

/* --- values ------------------------------------------------------------------------------ */

static void remember(struct config_reader *r, const yaml_node_t *node, const void *field,
                     size_t bytes)
{
    if (r->place_count == CONFIG_PLACES_MAX)
        return;
    struct config_place place = place_of(node);
    place.leaf = node->type == YAML_SCALAR_NODE;
    place.at = field;
    place.bytes = bytes;
    r->places[r->place_count++] = place;
}

/* A fault about this field was told. */
static void mark_bad(struct config_reader *r, const yaml_node_t *node, const void *field,
                     size_t bytes)
{
    for (uint32_t i = 0; i < r->place_count; i++)
        if (r->places[i].at == field && r->places[i].bytes == bytes) {
            r->places[i].bad = true;
            return;
        }
    remember(r, node, field, bytes);
    if (r->place_count > 0 && r->places[r->place_count - 1].at == field)
        r->places[r->place_count - 1].bad = true;
}

static const char *shape(const yaml_node_t *node)
{
    return node->type == YAML_MAPPING_NODE    ? "a map"
           : node->type == YAML_SEQUENCE_NODE ? "a list"
                                              : "one value";
}

static bool is_null(const yaml_node_t *node)
{
    struct text text = { 0 };
    if (node->type == YAML_SCALAR_NODE)
        text = text_of_node(node);
    return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE
           && (text.bytes == 0 || text_equal(text, text_of("~"))
               || text_equal(text, text_of("null")));
}

/* The node has the wrong shape for its key, or none at all. */
static void shape_fault(struct config_reader *r, const struct config_key *key,
                        const yaml_node_t *node)
{
    char path[CONFIG_KEY_PATH_BYTES];
    config_key_path(key, path);
    struct config_fault *f;
    if (is_null(node))
        f = fault_new(r, place_of(node), "`%s` has no value", path);
    else
        f = fault_new(r, place_of(node), "`%s` is %s where a %s belongs", path, shape(node),
                      config_type_name(key->type));
    fault_why(f, "a %s is: %s", config_type_name(key->type), config_type_rule(key->type));
    if (is_null(node) && key->fallback != NULL)
        fault_fix(f, "give it a value, or leave the key out for its default, `%s`", key->fallback);
    else
        fault_fix(f, "`weir config explain %s` shows what it can be", path);
}

static void walk_scalar(struct config_reader *r, const struct config_key *key,
                        const yaml_node_t *node, char *field)
{
    struct config_fault said;
    if (node->type != YAML_SCALAR_NODE || is_null(node)) {
        shape_fault(r, key, node);
        mark_bad(r, node, field, key->bytes);
        return;
    }
    remember(r, node, field, key->bytes);
    if (config_parse(key, text_of_node(node), field, &said) == 0)
        return;
    mark_bad(r, node, field, key->bytes);
    struct config_fault *f = fault_new(r, place_of(node), "%s", said.message);
    fault_why(f, "%s", said.why);
    fault_fix(f, "%s", said.fix);
}

static void check_field(struct config_reader *r, const struct json_mapping *mapping, uint32_t n,
                        const yaml_node_t *name, const yaml_node_t *pointer)
{
    const char *field = mapping->field_names[n];
    struct config_fault *f;
    if (pointer->type == YAML_SCALAR_NODE && !is_null(pointer)
        && text_of_node(pointer).bytes == 0) {
        f = fault_new(r, place_of(pointer), "the field `%s` has no pointer", field);
        fault_why(f, "the empty pointer means the whole reading");
        fault_fix(f, "such as `/%s`", field);
    }
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(mapping->field_names[i], field) == 0 && field[0] != '\0') {
            f = fault_new(r, place_of(name), "the field `%s` is there twice", field);
            fault_why(f, "only one pointer can be meant");
            fault_fix(f, "keep one of the two");
        }
}

/* Further fields: any names, each with a pointer. */
static void walk_fields(struct config_reader *r, const struct config_key *key,
                        yaml_document_t *document, const yaml_node_t *node,
                        struct json_mapping *mapping)
{
    static const struct config_key name_key = {
        SECTION_PAYLOAD, "fields", KEY_NAME, 0, READING_NAME_BYTES_MAX + 1, .doc = ""
    };
    static const struct config_key pointer_key = { SECTION_PAYLOAD,   "fields", KEY_POINTER, 0,
                                                   POINTER_BYTES_MAX, .doc = "" };
    if (node->type != YAML_MAPPING_NODE) {
        shape_fault(r, key, node);
        return;
    }
    mapping->field_count = 0;
    remember(r, node, mapping->field_names, sizeof mapping->field_names);
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
    for (; pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *name = yaml_document_get_node(document, pair->key);
        uint32_t n = mapping->field_count;
        if (n == READING_FIELDS_MAX) {
            struct config_fault *f = fault_new(r, place_of(name), "too many fields");
            fault_why(f, "a reading keeps at most %d", READING_FIELDS_MAX);
            fault_fix(f, "leave out the ones that nobody reads");
            return;
        }
        walk_scalar(r, &name_key, name, mapping->field_names[n]);
        const yaml_node_t *pointer = yaml_document_get_node(document, pair->value);
        walk_scalar(r, &pointer_key, pointer, mapping->field_pointers[n]);
        check_field(r, mapping, n, name, pointer);
        mapping->field_count++;
    }
}

/* --- maps and lists ---------------------------------------------------------------------- */

static void walk_map(struct config_reader *r, yaml_document_t *document, const yaml_node_t *node,
                     enum config_section section, char *base);

/* What an item holds before its own keys are read. It was zero; what stays so costs no memory. */
static void item_begin(enum config_section section, const char *parent, char *item)
{
    config_defaults(section, item);
    if (section == SECTION_TOPIC)
        ((struct config_topic *)item)->mapping = ((const struct config_source *)parent)->mapping;
    if (section == SECTION_DETECTOR)
        *(struct detector_config *)item = detector_defaults(DETECTOR_LIMIT);
}

static void walk_item(struct config_reader *r, const struct config_key *list,
                      yaml_document_t *document, const yaml_node_t *node, char *item)
{
    struct config_fault *f;
    if (node->type == YAML_MAPPING_NODE) {
        walk_map(r, document, node, list->child, item);
    } else if (node->type == YAML_SCALAR_NODE && list->scalar != NULL && !is_null(node)) {
        const struct config_key *key = config_key_find(list->child, text_of(list->scalar));
        walk_scalar(r, key, node, item + key->offset);
    } else {
        f = fault_new(r, place_of(node), "an item of `%s` is %s where a map belongs", list->name,
                      shape(node));
        fault_why(f, "each item has keys of its own");
        fault_fix(f, "write `- key: value`, the item's further keys indented under the first");
        mark_bad(r, node, item, config_sections[list->child].bytes);
    }
}

static void walk_list(struct config_reader *r, const struct config_key *key,
                      yaml_document_t *document, const yaml_node_t *node, char *base)
{
    char path[CONFIG_KEY_PATH_BYTES];
    uint32_t count = 0;
    size_t item_bytes = config_sections[key->child].bytes;
    if (node->type != YAML_SEQUENCE_NODE) {
        shape_fault(r, key, node);
        return;
    }
    remember(r, node, base + key->offset, key->bytes);
    const yaml_node_item_t *at = node->data.sequence.items.start;
    for (; at < node->data.sequence.items.top; at++) {
        const yaml_node_t *item_node = yaml_document_get_node(document, *at);
        if (count == key->items_max) {
            struct config_fault *f = fault_new(r, place_of(item_node), "`%s` has too many items",
                                               config_key_path(key, path));
            fault_why(f, "it may have at most %u", key->items_max);
            fault_fix(f, "leave out %zu of them",
                      (size_t)(node->data.sequence.items.top - node->data.sequence.items.start)
                          - count);
            break;
        }
        char *item = base + key->offset + count++ * item_bytes;
        item_begin(key->child, base, item);
        remember(r, item_node, item, item_bytes);
        walk_item(r, key, document, item_node, item);
    }
    memcpy(base + key->count, &count, sizeof count);
}

static void walk_value(struct config_reader *r, const struct config_key *key,
                       yaml_document_t *document, const yaml_node_t *node, char *base)
{
    const bool yes = true;
    char *field = base + key->offset;
    if (key->given != 0)
        memcpy(base + key->given, &yes, sizeof yes);
    if (key->type == KEY_LIST) {
        walk_list(r, key, document, node, base);
    } else if (key->type == KEY_FIELDS) {
        walk_fields(r, key, document, node, (struct json_mapping *)base);
    } else if (key->type == KEY_MAP && node->type == YAML_MAPPING_NODE) {
        if (config_sections[key->child].bytes != sizeof(struct config))
            remember(r, node, field, config_sections[key->child].bytes);
        walk_map(r, document, node, key->child, field);
    } else if (key->type == KEY_MAP) {
        shape_fault(r, key, node);
    } else {
        walk_scalar(r, key, node, field);
    }
    struct detector_config *rule = (struct detector_config *)base;
    if (key->section == SECTION_DETECTOR && key->offset == offsetof(struct detector_config, kind))
        *rule = detector_defaults(rule->kind);
}

/* Every key of the file is one of the section's, and there once. */
static void check_names(struct config_reader *r, yaml_document_t *document, const yaml_node_t *node,
                        enum config_section section)
{
    const struct config_key *seen[SECTION_KEYS_MAX];
    uint32_t seen_count = 0, seen_line[SECTION_KEYS_MAX];
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
    for (; pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *name = yaml_document_get_node(document, pair->key);
        if (name->type != YAML_SCALAR_NODE) {
            struct config_fault *f = fault_new(r, place_of(name), "a key is %s", shape(name));
            fault_why(f, "keys are names");
            fault_fix(f, "write `name: value`");
            continue;
        }
        const struct config_key *key = config_key_find(section, text_of_node(name));
        if (key == NULL) {
            fault_unknown_key(r, place_of(name), section, text_of_node(name));
            continue;
        }
        uint32_t i = 0;
        while (i < seen_count && seen[i] != key)
            i++;
        if (i < seen_count) {
            struct config_fault *f =
                fault_new(r, place_of(name), "the key `%s` is there twice", key->name);
            fault_why(f, "it was given on line %u already; only one value can be meant",
                      seen_line[i]);
            fault_fix(f, "keep one of the two");
            continue;
        }
        assert(seen_count < SECTION_KEYS_MAX);
        seen[seen_count] = key;
        seen_line[seen_count++] = place_of(name).line;
    }
}

static const yaml_node_t *value_of(yaml_document_t *document, const yaml_node_t *node,
                                   const char *name)
{
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
    for (; pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(document, pair->key);
        if (key->type == YAML_SCALAR_NODE && text_equal(text_of_node(key), text_of(name)))
            return yaml_document_get_node(document, pair->value);
    }
    return NULL;
}

/* In the table's order: a source's payload before its topics, a detector's type before the rest.
 * The recursion is as deep as the table: root, source, topic, payload. */
static void walk_map(struct config_reader *r, yaml_document_t *document, const yaml_node_t *node,
                     enum config_section section, char *base)
{
    char path[CONFIG_KEY_PATH_BYTES];
    check_names(r, document, node, section);
    for (uint32_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (key->section != section)
            continue;
        const yaml_node_t *value = value_of(document, node, key->name);
        if (value != NULL) {
            walk_value(r, key, document, value, base);
        } else if (key->required) {
            struct config_fault *f =
                fault_new(r, place_of(node), "`%s` is missing", config_key_path(key, path));
            fault_why(f, "it has no default: %s", key->doc);
            fault_fix(f, "add `%s:` with a %s", key->name, config_type_name(key->type));
            mark_bad(r, node, base, config_sections[section].bytes);
        }
    }
}

void config_walk(struct config_reader *r)
{
    yaml_parser_t parser;
    yaml_document_t document;
    if (!syntax_clean(r) || yaml_parser_initialize(&parser) == 0)
        return;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)r->text.at, r->text.bytes);
    if (yaml_parser_load(&parser, &document) == 0) {
        syntax_fault(r, &parser);
        yaml_parser_delete(&parser);
        return;
    }
    const yaml_node_t *root = yaml_document_get_root_node(&document);
    bool map = root != NULL && root->type == YAML_MAPPING_NODE;
    if (map && r->may_be_contract && value_of(&document, root, "sources") == NULL) {
        r->is_contract = true;
        r->config->contract_count = 1;
        item_begin(SECTION_CONTRACT, NULL, (char *)r->config->contracts);
        remember(r, root, r->config->contracts, sizeof r->config->contracts[0]);
        walk_map(r, &document, root, SECTION_CONTRACT, (char *)r->config->contracts);
    } else if (map) {
        remember(r, root, r->config, sizeof *r->config);
        walk_map(r, &document, root, SECTION_ROOT, (char *)r->config);
    } else {
        struct config_fault *f =
            fault_new(r, (struct config_place){ .line = root != NULL, .column = 1 },
                      "the file holds no keys");
        fault_why(f, "a configuration is a map: at least `sources:` must be there");
        fault_fix(f, "begin with docs/examples/minimal.yaml");
    }
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
}

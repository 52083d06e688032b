#include "firmware/cli/detect_plot.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "pipeline/timestamp.h"

enum {
    WIDTH = 1200,
    HEIGHT = 440,
    LEFT = 80,
    RIGHT = 1180,
    TOP = 44,
    BOTTOM = 390,
    TIMES = 6, /* marks on the axis */
    VALUES = 8 /* about */
};

struct scale {
    FILE *out;
    int64_t first_ms;
    double span_ms, low, high;
};

static const char *colour_of(enum reason reason)
{
    switch (reason) {
    case REASON_PATTERN:
        return "#7b3294";
    case REASON_SPIKE:
        return "#d7191c";
    case REASON_HIGH:
        return "#e66101";
    case REASON_LOW:
        return "#018571";
    case REASON_DRIFT:
        return "#b8860b";
    case REASON_CODE:
        return "#000000";
    case REASON_SILENCE:
    case REASON_SHIFT: /* those that `weir detect` does not tell */
    case REASON_NOISE_UP:
    case REASON_NOISE_DOWN:
    case REASON_RANGE:
    case REASON_RESET:
    case REASON_CLOCK_AHEAD:
    case REASON_CLOCK_BEHIND:
    case REASON_CYCLE:
    case REASON_SIBLINGS:
    case REASON_NONE:
    case REASONS:
        break;
    }
    return "#555555";
}

static double x_of(const struct scale *s, int64_t time_ms)
{
    return LEFT + (double)(time_ms - s->first_ms) / s->span_ms * (RIGHT - LEFT);
}

/* What lies outside is drawn at the edge. */
static double y_of(const struct scale *s, double value)
{
    double part = (value - s->low) / (s->high - s->low);
    part = part < 0 ? 0 : part > 1 ? 1 : part;
    return BOTTOM - part * (BOTTOM - TOP);
}

static struct scale scale_of(const struct plot *plot, FILE *out)
{
    const struct plot_reading *first = &plot->readings[0];
    struct scale s = { .out = out, .first_ms = first->time_ms, .low = first->value,
                       .high = first->value };
    for (size_t i = 0; i < plot->reading_count; i++) {
        s.low = plot->readings[i].value < s.low ? plot->readings[i].value : s.low;
        s.high = plot->readings[i].value > s.high ? plot->readings[i].value : s.high;
    }
    double margin = s.high > s.low ? (s.high - s.low) * 0.05 : fabs(s.high) * 0.05 + 1;
    s.low -= margin;
    s.high += margin;
    s.span_ms = (double)(plot->readings[plot->reading_count - 1].time_ms - s.first_ms);
    s.span_ms = s.span_ms > 0 ? s.span_ms : 1;
    return s;
}

static void draw_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++)
        if (*text == '<' || *text == '&')
            (void)fputs(*text == '<' ? "&lt;" : "&amp;", out);
        else
            (void)fputc((unsigned char)*text < ' ' ? ' ' : *text, out);
}

static void draw_values(const struct scale *s)
{
    double rough = (s->high - s->low) / VALUES;
    double step = pow(10, floor(log10(rough)));
    step *= rough / step > 5 ? 10 : rough / step > 2 ? 5 : rough / step > 1 ? 2 : 1;
    for (int i = 0; i <= 2 * VALUES; i++) {
        double value = (ceil(s->low / step) + i) * step;
        if (value > s->high)
            break;
        value = fabs(value) < step / 2 ? 0 : value;
        double y = y_of(s, value);
        (void)fprintf(s->out, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>", LEFT, y, RIGHT);
        (void)fprintf(s->out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.6g</text>\n",
                      LEFT - 8, y + 4, value);
    }
}

static void draw_times(const struct scale *s)
{
    for (int i = 0; i < TIMES; i++) {
        char text[TIMESTAMP_BYTES];
        int64_t time_ms = s->first_ms + (int64_t)(s->span_ms * i / (TIMES - 1));
        timestamp_print(time_ms, text);
        const char *anchor = i == 0 ? "start" : i == TIMES - 1 ? "end" : "middle";
        (void)fprintf(s->out, "<path class=\"grid\" d=\"M%.1f %dV%d\"/>", x_of(s, time_ms), TOP,
                      BOTTOM);
        (void)fprintf(s->out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%.10s %.5s</text>\n",
                      x_of(s, time_ms), BOTTOM + 18, anchor, text, text + 11);
    }
}

/* A year of readings in a thousand columns: of each column what is lowest and highest in it. */
struct column {
    double value_low, value_high, expected, low, high;
    bool banded;
};

/* Fill a column from readings[*at] on, and move past them. Its x, or the reading's own when it is
 * alone. */
static double next_column(const struct scale *s, const struct plot *plot, size_t *at,
                          struct column *c)
{
    const struct plot_reading *r = &plot->readings[*at];
    double x = x_of(s, r->time_ms);
    *c = (struct column){ .value_low = r->value, .value_high = r->value,
                          .expected = (double)r->expected, .low = (double)r->low,
                          .high = (double)r->high, .banded = r->low <= r->high };
    for (; *at < plot->reading_count; ++*at) {
        r = &plot->readings[*at];
        if (floor(x_of(s, r->time_ms)) > floor(x) || c->banded != (r->low <= r->high))
            break;
        c->value_low = fmin(c->value_low, r->value);
        c->value_high = fmax(c->value_high, r->value);
        c->low = fmin(c->low, (double)r->low);
        c->high = fmax(c->high, (double)r->high);
    }
    return x;
}

static void draw_band(const struct scale *s, const struct plot *plot)
{
    (void)fputs("<path class=\"band\" d=\"", s->out);
    for (size_t i = 0; i < plot->reading_count;) {
        struct column c;
        double x = next_column(s, plot, &i, &c);
        if (!c.banded)
            continue;
        double top = y_of(s, c.high), bottom = y_of(s, c.low);
        double next = i < plot->reading_count ? x_of(s, plot->readings[i].time_ms) : x + 1;
        (void)fprintf(s->out, "M%.1f %.1fH%.1fV%.1fH%.1fz", x, top, next, bottom, x);
    }
    (void)fputs("\"/>\n", s->out);
}

static void draw_expected(const struct scale *s, const struct plot *plot)
{
    bool before = false;
    (void)fputs("<path class=\"expected\" d=\"", s->out);
    for (size_t i = 0; i < plot->reading_count;) {
        struct column c;
        double x = next_column(s, plot, &i, &c);
        if (c.banded)
            (void)fprintf(s->out, "%c%.1f %.1f", before ? 'L' : 'M', x, y_of(s, c.expected));
        before = c.banded;
    }
    (void)fputs("\"/>\n", s->out);
}

static void draw_series(const struct scale *s, const struct plot *plot)
{
    (void)fputs("<path class=\"series\" d=\"", s->out);
    for (size_t i = 0; i < plot->reading_count;) {
        struct column c;
        bool first = i == 0;
        double x = next_column(s, plot, &i, &c);
        (void)fprintf(s->out, "%c%.1f %.1f", first ? 'M' : 'L', x, y_of(s, c.value_low));
        if (c.value_high > c.value_low)
            (void)fprintf(s->out, "V%.1f", y_of(s, c.value_high));
    }
    (void)fputs("\"/>\n", s->out);
}

static void draw_alarms(const struct scale *s, const struct plot *plot)
{
    for (size_t i = 0; i < plot->alarm_count; i++) {
        const struct plot_alarm *a = &plot->alarms[i];
        char text[TIMESTAMP_BYTES];
        double x = x_of(s, a->time_ms), wide = fmax(x_of(s, a->until_ms) - x, 1);
        const char *colour = colour_of(a->reason);
        timestamp_print(a->time_ms, text);
        (void)fprintf(s->out, "<g><title>%s %s, value %.6g%s</title>", text,
                      reason_name(a->reason), a->value, a->learning ? ", learning" : "");
        (void)fprintf(s->out, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\" "
                              "fill-opacity=\"0.15\"/>",
                      x, TOP, wide, BOTTOM - TOP, colour);
        (void)fprintf(s->out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\" stroke=\"%s\" "
                              "stroke-width=\"2\"/></g>\n",
                      x, y_of(s, a->value), a->learning ? "#fff" : colour, colour);
    }
}

static void draw_legend_entry(const struct scale *s, int x, const char *shape, const char *text)
{
    bool band = strcmp(shape, "band") == 0;
    (void)fprintf(s->out, "<path class=\"%s\" d=\"M%d %dh20%s\"/>", shape, x,
                  BOTTOM + (band ? 31 : 36), band ? "v10h-20z" : "");
    (void)fprintf(s->out, "<text x=\"%d\" y=\"%d\">%s</text>\n", x + 26, BOTTOM + 40, text);
}

static void draw_legend(const struct scale *s, const struct plot *plot)
{
    size_t counts[REASONS] = { 0 };
    for (size_t i = 0; i < plot->alarm_count; i++)
        counts[plot->alarms[i].reason]++;
    draw_legend_entry(s, LEFT, "series", "value");
    draw_legend_entry(s, LEFT + 80, "expected", "expected");
    draw_legend_entry(s, LEFT + 180, "band", "no single reading in it alarms");
    int x = LEFT + 280;
    for (int i = REASON_PATTERN; i < REASONS; i++) {
        if (counts[i] == 0)
            continue;
        x += 120;
        (void)fprintf(s->out, "<circle cx=\"%d\" cy=\"%d\" r=\"4\" fill=\"%s\"/>", x, BOTTOM + 36,
                      colour_of((enum reason)i));
        (void)fprintf(s->out, "<text x=\"%d\" y=\"%d\">%s: %zu</text>\n", x + 10, BOTTOM + 40,
                      reason_name((enum reason)i), counts[i]);
    }
}

void detect_plot(const struct plot *plot, FILE *out)
{
    assert(plot->reading_count > 0);
    const struct scale s = scale_of(plot, out);
    (void)fprintf(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
                  "height=\"%d\">\n",
                  WIDTH, HEIGHT, WIDTH, HEIGHT);
    (void)fputs("<style>text{font:12px sans-serif;fill:#333}.title{font-size:15px}"
                ".grid{stroke:#ddd;fill:none}.band{fill:#9ecae1;fill-opacity:.5}"
                ".expected{stroke:#2171b5;fill:none}.series{stroke:#222;fill:none}</style>\n"
                "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
                out);
    (void)fprintf(out, "<text class=\"title\" x=\"%d\" y=\"28\">", LEFT);
    draw_text(out, plot->title);
    (void)fprintf(out, ": %zu readings, %zu alarm%s</text>\n", plot->reading_count,
                  plot->alarm_count, plot->alarm_count == 1 ? "" : "s");
    draw_values(&s);
    draw_times(&s);
    draw_band(&s, plot);
    draw_expected(&s, plot);
    draw_series(&s, plot);
    draw_alarms(&s, plot);
    draw_legend(&s, plot);
    (void)fputs("</svg>\n", out);
}

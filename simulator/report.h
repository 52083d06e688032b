/* report: the judgement of a run, from the fleet's truth, the cloud's file and the gateway's
 * exported journal. */
#ifndef SIMULATOR_REPORT_H
#define SIMULATOR_REPORT_H

int report_main(int argc, char **argv);

#endif

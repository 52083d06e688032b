/* cloud: the receiver: applies the rule of docs/receiver.md to what gateways send, says what has
 * arrived, asks for what is missing. */
#ifndef SIMULATOR_CLOUD_H
#define SIMULATOR_CLOUD_H

int cloud_main(int argc, char **argv);

#endif

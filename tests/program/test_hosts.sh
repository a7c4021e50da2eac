#!/bin/sh
# Several hosts, and one that goes down.
exec tests/cluster/test_hosts.sh

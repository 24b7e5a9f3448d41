#!/bin/sh -e
# `ctr run` for the checks. With containerd 1.6.0 to 1.6.21 and 1.7.0 to 1.7.2 ctr closes its end of a
# task's output when the task has ended, read or not (pull request 8643): what prints and ends at once
# now and then prints nothing, with any runtime. Here the shim writes to a file instead, all of it before
# it says that the task is deleted. For the runtime that is the same: a pipe of the shim's. What goes to
# standard error may be lost all the same: the shim closes the file of both when standard output ends
# (copyPipes in 1.6.20), so a check that wants it says 2>&1 inside.
# With a terminal ctr passes over --log-uri.
log=$(mktemp)
code=0
ctr run --runc-binary "$HOME/bin/tare" --log-uri "file://$log" "$@" || code=$?
cat "$log"
rm "$log"
exit $code

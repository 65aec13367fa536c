#!/usr/bin/env bash
# A release step in plain shell: certifies, and says what each exit code asks for. usn.yaml names the rest.
set -uo pipefail

usn certify --min-certified 0.9 --run-seconds 3000 --format junit=usn.xml --format html=usn.html
code=$?

case $code in
  0) echo "robustness: the gate passed" ;;
  1) echo "robustness: too little is certified; usn.html shows the counterexamples" >&2 ;;
  4) echo "robustness: undecided, which is no pass; give --seconds and --run-seconds more" >&2 ;;
  5) echo "robustness: there was no image to certify" >&2 ;;
  130) echo "robustness: interrupted; the same step goes on" >&2 ;;
  *) echo "robustness: usn could not work, see its message above" >&2 ;;
esac
exit $code

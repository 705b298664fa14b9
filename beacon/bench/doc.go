// Package bench measures on this host what a beacon costs: how much a timed round loses against a bare UDP echo, and how much processor
// time a signed answer, a handshake and a whole session take.
//
// What it believes. Absolute figures are the machine's and its neighbours'; only figures of one run may be compared, and only if what is
// compared was measured in turn. So everything is cut into short blocks, the blocks of all variants are mixed at random again and again, and
// a comparison is the median over the repetitions of the ratio within each. A round trip between two processors of a virtual machine
// mostly measures the wake-up of the second; both ends on one processor measure the length of the path, even when the machine is busy. So
// that is what is done unless two are asked for. Throughput is processor time (getrusage), which neighbours hardly change, and
// not how many answers came by in a second.
//
// What it promises. Two processes, this one and a child that is its other end, speak the real protocol through the real ports, machines and
// daemon. Round trips are intervals of the clock rule (package stamp), the echoes' too. What was lost or refused is counted and printed.
// The time is bounded. The report has one form for people (Text) and one for programs (JSON).
//
// What an attacker may do: nothing. Everything runs on loopback, between two processes of one user, with keys made for the run.
package bench

// Package story plays attacks on the protocol that are written as stories: a dozen words, one command a line, over the real beacons,
// cores and gate, real QUIC and crypto, in virtual time. docs/STORIES.md is the language; simnet/testdata has the stories.
//
// What it believes: its world, for how long packets are under way, and the true places, by which it judges whether a lease was a false
// accept. The programs know neither.
//
// What it promises. A story fails when an expectation does not hold, when a core is granted a lease while it stands outside the
// permitted region and the story did not say so, and when a statement shows a round trip that the path does not allow and no adversary
// of the story holds a clock or a key. Time is virtual, so nothing depends on how busy the machine is; the seed decides delays and
// losses. Counters say whether the hard case happened at all: a story about reordering in which nothing was reordered proves
// nothing, and its expectation fails.
//
// What an attacker may do: what package adversary offers, and move machines about.
package story

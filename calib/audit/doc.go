// Package audit finds the nodes of a constellation that do not stand where they claim to stand, from nothing but the round trips
// that they measured with each other.
//
// What it believes: a signal is not faster than its speed class allows, and an honest node stands within ClaimUnc of its claim.
// So when two nodes are closer in time than light allows between their claimed places, at least one of them lies, about its place
// or about its time. It believes no single node, no majority, and no model of the network where it convicts under a given f.
//
// The graph. Each contradiction is an edge of the conflict graph. The liars touch every edge: they are a vertex cover. If at most
// f nodes lie, a node that stands in every cover of at most f nodes is one of them. That is a theorem, whatever the liars agree
// on among themselves.
//
// Choosing f. With Options.MaxLiars the theorem's premise is the caller's and the audit adds nothing. Without it, f is the size of
// the smallest cover: the fewest lies that explain what was measured. Parsimony alone can be fooled (two liars who both stand
// next to one lonely honest node accuse it two to one), so by default a conviction has to turn two keys, after a look at the door.
//
//   - The door. The smallest explanation must be about as coherent as its rival, in which the accused are honest and their accusers
//     lie: claims that inform about what was measured. Many colluders around few honest nodes fail here; then f is half of all nodes.
//   - The graph's key. Every smallest explanation needs the node, and the contradictions come from at least two places.
//   - The residuals' key. Round trips with third parties, which the graph has not counted, fit another place better than the
//     claimed one: by five nats, and by more than nineteen in twenty honest nodes of the same set show for a place as far away.
//     When the graph's margin is a single liar, they must also find each accuser at home.
//
// Where only one key turns, the node is suspected.
//
// What it promises. Nobody is convicted on one pair: a single contradiction between two nodes names both as suspects unless third
// parties tell them apart, and the pair is reported as refused. The search for covers is exact or says that it is not (and then
// convicts only on proven bounds). The same input gives the same report to the byte, in any order of rows. Each false-alarm rate is
// measured on the unaccused nodes of the same set, and stated with its resolution.
//
// What an attacker may do: place liars, add delay, shorten round trips of the liars, collude. Adding delay removes edges: it can
// hide a liar, never accuse anybody. Shortening accuses only pairs that the liar is part of. More than f colluders can frame a
// node under a given f, as they can in every scheme; by default the second key stands in their way as long as most of the
// constellation is honest.
package audit

// Package result is what an experiment has found: tallies of trials, the journal in which they survive a kill, and the rows that tables
// and drawings are made of.
//
// What it believes: a trial is a pure function of the experiment, its point, its seed and the number of its core. So trials may be run
// anywhere in any order, and whoever adds them up gets the same sum: a Tally holds whole numbers only, and adding whole numbers knows
// no order.
//
// What it promises.
//   - The journal holds one line for each finished chunk of trials, in a fixed order, each with a checksum over itself and all lines
//     before it. Cut it anywhere and Open keeps the whole lines; writing on gives the bytes that an unbroken run would have given. A
//     line that is wrong in the middle is damage and is refused, not skipped.
//   - Journals of the shards of one experiment merge into the rows of an unsharded run, or an error says which shard is missing.
//   - A share comes with an interval: Wilson's over trials, and where a row pools several seeds a bootstrap over seeds, because trials of
//     one seed share their constellation and their routes.
//
// What an attacker may do: hand in any journal. Sizes are checked before anything is allocated; the checksum is against accidents.
package result

// Package experiment asks how a constellation would behave before anybody rents a rack: how many beacons, where, against which
// adversary, with which error bars; and gives the same answer twice.
//
// It is a road with five stations, each a folder or a file of its own:
//
//	file     what is asked: a YAML file becomes a list of points
//	bench    a point becomes trials: world, constellation and cores, over simnet/trial; or an evaluation over locator/eval
//	Run      trials become tallies, on all processors, in a journal that survives a kill
//	result   journals become a set: shards are merged, shares get their intervals
//	Write    a set becomes tables (CSV, Parquet), drawings (SVG, PNG) and one page that opens offline
//
// What it promises: the same file, seed and build give the same bytes on any number of processors, in one piece or in shards, with or
// without a kill in between. No point reads a clock, and nothing is drawn but from the experiment's seeds and the names of hosts. A
// trial that fails says which core of which point at which seed, and the command that runs that one trial again.
//
// What it does not promise: that the world is like the Internet. simnet/world says how near it comes.
package experiment

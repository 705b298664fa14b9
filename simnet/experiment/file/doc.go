// Package file is experiments as people write them: one YAML file that says which world, constellation, cores, adversary and policy to
// try, and which of these to vary.
//
//	name: access-delay
//	about: What one millisecond of access delay costs
//	world: {builtin: public}
//	constellation: {rule: spread, in: permit, count: 24}
//	cores: {place: cities, in: permit, count: 500}
//	policy: {permit: EU27, f: 1}
//	seeds: [1, 2, 3]
//	measure: [region]
//	sweep:
//	  access_delay: [0ms, 1ms, 2ms]
//	chart: {x: access_delay}
//
// What it promises: a file becomes exactly one list of points, the product of what is swept and of the seeds in the order in which they
// stand, or a list of problems, each with line and column and with what would be right. Unknown and repeated keys, anchors, aliases,
// tags and second documents are refused; every key that is left out has the default that the table of fields states. A point is read by
// the same code whether a value stands in the file or comes from the sweep. The experiment's hash covers every value of every point and
// the bytes of every file that it names, not the layout: a comment changes no hash, a default written out does not either.
//
// What an attacker may do: hand in any text. Size, points and lists are limited.
package file

package eval

// shortestPing answers with the beacon that replied quickest: its place and its country.
//
// The oldest method of all (as GeoPing's simplest case in Padmanabhan and Subramanian, An investigation of geographic mapping
// techniques for Internet hosts, SIGCOMM 2001). It has no region and no probabilities, so that those metrics are null. Left out:
// nothing.
func (t *task) shortestPing(target int, seen []sight) answer {
	a := noAnswer()
	nearest := seen[0].beacon
	t.answerAt(&a, target, t.at[nearest])
	a.right = t.country[nearest] == t.country[target] && t.country[target] != ""
	return a
}

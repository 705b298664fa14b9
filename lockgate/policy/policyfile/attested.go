package policyfile

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/topology/directory"
)

// attested reads the profiles that are accepted.
func attested(r *reader, n *yaml.Node, f *File) {
	r.entries(n, []string{"platform", "measurements", "min_tcb"}, []string{"machines"}, func(_ *yaml.Node, get func(string) *yaml.Node) {
		var x directory.Expectation
		text(func(_ *File, s string) { x.Platform = s })(r, get("platform"), f)
		count(func(_ *File, v *uint64) { x.MinTCB = *v })(r, get("min_tcb"), f)
		x.Measurements = r.digests(get("measurements"), "measurement", func(b []byte) bool { return len(b) > 0 }, "write it in hexadecimal digits, in quotes")
		if list := get("machines"); list != nil {
			for _, b := range r.digests(list, "machine", func(b []byte) bool { return len(b) == 32 }, "write the 64 hexadecimal digits of its name, in quotes") {
				x.Machines = append(x.Machines, [32]byte(b))
			}
		}
		f.Policy.Attest = append(f.Policy.Attest, x)
	})
	slices.SortFunc(f.Policy.Attest, func(a, b directory.Expectation) int { return strings.Compare(a.Platform, b.Platform) })
}

// digests reads a list of values in hexadecimal digits, each once, and returns them ascending; nil when one is wrong.
func (r *reader) digests(list *yaml.Node, what string, good func([]byte) bool, right string) [][]byte {
	before := len(r.problems)
	if list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		r.bad(list, "write a list of %ss in hexadecimal digits", what)
		return nil
	}
	var out [][]byte
	for _, n := range list.Content {
		b, err := hex.DecodeString(n.Value)
		switch {
		case err != nil || !good(b):
			r.bad(n, "%q is no %s: %s", n.Value, what, right)
		case contains(out, b):
			r.bad(n, "%s %q stands here twice", what, n.Value)
		}
		out = append(out, b)
	}
	if len(r.problems) > before {
		return nil
	}
	slices.SortFunc(out, bytes.Compare)
	return out
}

func contains(list [][]byte, b []byte) bool {
	return slices.ContainsFunc(list, func(x []byte) bool { return bytes.Equal(x, b) })
}

// attestDirection compares what is accepted: profiles, measurements, the lowest
// security version of each, and the machines.
func attestDirection(a, b []directory.Expectation) Direction {
	return direction(accepts(b, a), accepts(a, b))
}

// profileOf finds a platform among what is accepted.
func profileOf(list []directory.Expectation, platform string) (directory.Expectation, bool) {
	at := slices.IndexFunc(list, func(x directory.Expectation) bool { return x.Platform == platform })
	if at < 0 {
		return directory.Expectation{}, false
	}
	return list[at], true
}

// accepts says whether the first accepts something that the second does not.
func accepts(a, b []directory.Expectation) bool {
	for _, x := range a {
		y, named := profileOf(b, x.Platform)
		if !named || !attest.TCBAtLeast(attest.Platform(x.Platform), x.MinTCB, y.MinTCB) {
			return true
		}
		if slices.ContainsFunc(x.Measurements, func(m []byte) bool { return !contains(y.Measurements, m) }) {
			return true
		}
		if len(y.Machines) == 0 {
			continue // any machine: there is no more
		}
		if len(x.Machines) == 0 || slices.ContainsFunc(x.Machines, func(m [32]byte) bool { return !slices.Contains(y.Machines, m) }) {
			return true
		}
	}
	return false
}

// onlyIn tells the profiles that differ from those of another policy, and of what they list that which the other does not, to the last
// digit: two measurements that begin alike are two measurements.
func onlyIn(list, other []directory.Expectation) string {
	out := []string{}
	for _, x := range list {
		y, named := profileOf(other, x.Platform)
		if one := []directory.Expectation{x}; named && !accepts(one, other) && !accepts([]directory.Expectation{y}, one) {
			continue
		}
		machines := "any machine"
		if len(x.Machines) > 0 {
			machines = "machines " + beside(digestsOf(x.Machines), digestsOf(y.Machines))
		}
		out = append(out, fmt.Sprintf("%s (tcb %s: measurements %s; %s)", x.Platform, attest.TCBText(attest.Platform(x.Platform), x.MinTCB),
			beside(x.Measurements, y.Measurements), machines))
	}
	if len(out) == 0 {
		return "absent"
	}
	return strings.Join(out, ", ")
}

// beside lists what another list lacks, and counts what both have.
func beside(list, other [][]byte) string {
	var out []string
	both := 0
	for _, b := range list {
		if contains(other, b) {
			both++
		} else {
			out = append(out, hex.EncodeToString(b))
		}
	}
	if both > 0 {
		out = append(out, fmt.Sprintf("%d in both", both))
	}
	return strings.Join(out, " ")
}

func digestsOf(machines [][32]byte) [][]byte {
	out := make([][]byte, len(machines))
	for i := range machines {
		out[i] = machines[i][:]
	}
	return out
}

// profiles tells what is accepted, for people: digests by how they begin.
func profiles(list []directory.Expectation) string {
	begin := func(digests [][]byte) string {
		var out []string
		for _, b := range digests {
			out = append(out, fmt.Sprintf("%x", b[:min(len(b), 6)]))
		}
		return strings.Join(out, " ")
	}
	var out []string
	for _, x := range list {
		machines := ""
		if len(x.Machines) > 0 {
			machines = "; machines " + begin(digestsOf(x.Machines)) + " only"
		}
		out = append(out, fmt.Sprintf("%s (tcb %s: %s%s)", x.Platform, attest.TCBText(attest.Platform(x.Platform), x.MinTCB), begin(x.Measurements), machines))
	}
	return strings.Join(out, ", ")
}

package story_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutantVariable says to the mutated build which of its mutants it is.
const mutantVariable = "URSA_STORY_MUTANT"

// mutants are the protocol with one of its ideas taken out, and the story that must fail then.
var mutants = []struct{ name, story string }{
	{"no-mac", "distance-hijack"},                 // any answer to a challenge counts, whoever made it
	{"identity-in-signatures", "distance-hijack"}, // identities, channel and secret stand in signatures and not in the timed answer's key
	{"predictable-challenge", "pre-answer"},       // challenge values follow from nothing that is secret
	{"opened-early", "pre-answer"},                // the opening stands where its commitment belongs, before the first round
	{"transport-round-trip", "optimistic-ack"},    // QUIC's round trip in place of the timed one
	{"any-timed-key", "stolen-identity"},          // attestation need not name the timed key: it could lie in a file
}

// patches make one build with all the mutants; without the variable it is the protocol as it stands. Every patch must apply to exactly
// one place, so that a change of the protocol does not silently leave a mutant harmless.
var patches = []struct{ file, old, new string }{
	{"rounds.go", "	if !c.mac.rs.verify(p, index, ch, d) {", "	if mutant != \"no-mac\" && !c.mac.rs.verify(p, index, ch, d) {"},
	{"keys.go", "	if len(k.KEMSecret) < 32 {", `	if mutant == "identity-in-signatures" {
		k = &KeySchedule{KEMSecret: make([]byte, 32), ChannelKey: [32]byte{1}, Session: k.Session}
	}
	if len(k.KEMSecret) < 32 {`},
	{"keys.go", "func newDeriver(s Seed) deriver {", `func newDeriver(s Seed) deriver {
	if mutant == "predictable-challenge" {
		s = Seed{}
	}
	`},
	{"keys.go", "func (s Seed) Commit(owner [32]byte) [32]byte {", `func (s Seed) Commit(owner [32]byte) [32]byte {
	if mutant == "opened-early" {
		return s
	}`},
	{"rounds.go", "	challenges  [MaxRoundsEver]Packet // all", "	transport func() int64\n	challenges  [MaxRoundsEver]Packet // all"},
	{"rounds.go", "	c.rounds[c.valid] = Round{Index: index, NS: interval.NS()}", `	took := interval.NS()
	if mutant == "transport-round-trip" {
		took = c.transport()
	}
	c.rounds[c.valid] = Round{Index: index, NS: took}`},
	{"beacon.go", "	b.caller = newCaller(b.limits, b.session, b.seed, keys, b.cfg.Quality.GranularityNS)",
		"	b.caller = newCaller(b.limits, b.session, b.seed, keys, b.cfg.Quality.GranularityNS)\n	b.caller.transport = transportOf(b)"},
	{"../server/server.go", "	port := &eitherPort{Port: via.port,",
		"	b.Transport(func() int64 { return int64(conn.ConnectionStats().MinRTT) })\n	port := &eitherPort{Port: via.port,"},
	{"../attest/proof.go", "import (", "import (\n	\"os\""},
	{"../attest/proof.go", "		if f.TimedKey.IsZero() || f.TimedKey != ", "		if os.Getenv(\"" + mutantVariable + "\") != \"any-timed-key\" && f.TimedKey != "},
}

// mutantSource is the file that the mutated build has beside those of package exchange.
const mutantSource = `package exchange

import (
	"os"
	"sync"
)

var (
	mutant     = os.Getenv("` + mutantVariable + `")
	transports sync.Map
)

// Transport says where the round trip of the transport is to be had.
func (b *Beacon) Transport(rtt func() int64) { transports.Store(b, rtt) }

func transportOf(b *Beacon) func() int64 {
	rtt, _ := transports.Load(b)
	return rtt.(func() int64)
}
`

// exchangeDir is the package that is patched.
const exchangeDir = "../../beacon/exchange"

// TestMutantsAreCaught takes one idea at a time out of the protocol, in a copy of its sources that only this build sees, and wants the
// story that is about it to fail, with a false accept. The same build with nothing taken out passes these stories.
func TestMutantsAreCaught(t *testing.T) {
	if os.Getenv(mutantVariable) != "" {
		t.Skip("this is a mutant")
	}
	overlay := mutated(t)
	if testing.Short() {
		t.Skip("the patches apply; building and playing the mutants is left out with -short")
	}
	binary := filepath.Join(t.TempDir(), "mutants.test")
	if out, err := exec.Command("go", "test", "-c", "-overlay", overlay, "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("the mutants do not build: %v\n%s", err, out)
	}
	if out, err := playMutant(binary, "", "distance-hijack|pre-answer|optimistic-ack|stolen-identity"); err != nil {
		t.Fatalf("the patched build fails with nothing taken out: %v\n%s", err, out)
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			out, err := playMutant(binary, m.name, m.story)
			switch {
			case err == nil:
				t.Fatalf("survived %s:\n%s", m.story, out)
			case !strings.Contains(out, "--- FAIL: TestStories/"+m.story+".txt"):
				t.Fatalf("%s did not fail as a story: %v\n%s", m.story, err, out)
			case !strings.Contains(out, "a false accept"):
				t.Fatalf("%s failed, but without the false accept that the attack is for:\n%s", m.story, out)
			}
		})
	}
}

// playMutant plays stories with a mutant in force.
func playMutant(binary, mutant, stories string) (string, error) {
	cmd := exec.Command(binary, "-test.v", "-test.run", "^TestStories$/^("+stories+").txt$")
	cmd.Env = append(os.Environ(), mutantVariable+"="+mutant)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// mutated writes the patched sources and returns the overlay that puts them in the place of the originals.
func mutated(t *testing.T) string {
	t.Helper()
	dir, sources := t.TempDir(), map[string]string{"mutant.go": mutantSource}
	for _, p := range patches {
		if _, read := sources[p.file]; !read {
			b, err := os.ReadFile(filepath.Join(exchangeDir, p.file))
			if err != nil {
				t.Fatal(err)
			}
			sources[p.file] = string(b)
		}
		if n := strings.Count(sources[p.file], p.old); n != 1 {
			t.Fatalf("%s: %q occurs %d times, want once: the protocol has changed, change the mutant with it", p.file, p.old, n)
		}
		sources[p.file] = strings.Replace(sources[p.file], p.old, p.new, 1)
	}
	replace := map[string]string{}
	for file, source := range sources {
		changed := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(changed, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		original, err := filepath.Abs(filepath.Join(exchangeDir, file))
		if err != nil {
			t.Fatal(err)
		}
		replace[original] = changed
	}
	b, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}

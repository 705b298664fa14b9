package bench

import (
	"strings"
	"testing"
)

// TestRunMeasuresAll: a small run ends, and says something of every part.
func TestRunMeasuresAll(t *testing.T) {
	var told []string
	r, err := Run(t.Context(), Config{Grants: 12, Clients: 4, Together: 8, Alone: true, Dir: t.TempDir(),
		Progress: func(what string, _ float64) { told = append(told, what) }})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Whole) != 1 || r.Whole[0].Grants != 12 || r.Whole[0].PerSecond <= 0 || len(r.Verify) != 2 || len(r.Commit) != 3 ||
		r.Ledger.AppendMS.P50MS <= 0 || r.Ledger.ProofMS.P50MS <= 0 || r.LockFeedNS <= 0 || r.IssueUS <= 0 || len(told) == 0 {
		t.Fatalf("%+v", r)
	}
	for _, want := range []string{"SQLite", "inclusion proof", "group commit", "lock:"} {
		if !strings.Contains(r.Text(), want) {
			t.Errorf("the report lacks %q:\n%s", want, r.Text())
		}
	}
	for _, bad := range []Config{{Grants: -1}, {Clients: 5000}, {Together: 1 << 17}} {
		if _, err := Run(t.Context(), bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	w := &work{cfg: Config{Together: 64, Dir: b.TempDir(), Progress: func(string, float64) {}}, r: &Report{}, total: 1}
	cases, err := w.cases(b.Context(), 96)
	if err != nil {
		b.Fatal(err)
	}
	for name, c := range map[string]caches{"nothing remembered": {}, "known": remember()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if f := c.decide(cases[i%len(cases)]); f.RefusedBy != "" {
					b.Fatal(f.Reason)
				}
			}
		})
	}
}

package sample

import (
	"math"
	"testing"

	"github.com/ursa-virtual/ursa/simnet/world"
)

// The table against the law that it tabulates: two thousandths apart at most (at the corners of the law), and its inverse takes it back.
func TestTableIsTheLaw(t *testing.T) {
	w, err := world.Builtin(world.Config{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	d := Key(1).Draws()
	for a := world.DataCentre; a <= world.Satellite; a++ {
		table, wait := lawOf(w, a), w.WaitAt(world.Place{Access: a}, 0)
		for i := range 20_000 {
			p := d.Float64()
			if i%2 == 1 { // as many in the tails as in the middle
				p = math.Exp2(-24 * d.Float64())
			}
			if i%4 == 3 {
				p = 1 - p
			}
			if p >= 1-smallest {
				continue
			}
			want, got := float64(wait.Quantile(p)), table.at(p)
			if want > 0.9*maxWait {
				continue // where the law is cut off, in the last ten-millionth
			}
			if math.Abs(got-want) > 2e-3*want+1 {
				t.Fatalf("%v at %g: %g ns, the law says %g", a, p, got, want)
			}
			if back := table.at(table.share(got)); math.Abs(back-got) > 1e-6*got+1e-3 {
				t.Fatalf("%v at %g: %g ns, back from its share %g", a, p, got, back)
			}
		}
		if table.at(smallest/2) > table.at(smallest) || table.at(1-1e-15) < table.at(0.999) || table.at(0.5) > table.at(math.Nextafter(0.5, 1)) {
			t.Errorf("%v: the table falls", a)
		}
	}
}

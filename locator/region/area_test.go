package region

import (
	"testing"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// The table of coarse areas against the sum that it stands for, to the bit; and the whole Earth is in it.
func TestCoarseAreas(t *testing.T) {
	for level := range areaLevel {
		n, total := 0, 0.0
		for id := range cellsOf(level) {
			want := 0.0
			for c := id.ChildBeginAtLevel(areaLevel); c != id.ChildEndAtLevel(areaLevel); c = c.Next() {
				want += earth.CellArea(c)
			}
			if got := cellArea(id); got != want {
				t.Fatalf("cell %v: %v km², the sum of its parts is %v", id, got, want)
			}
			n, total = n+1, total+want
		}
		if n != 6<<(2*level) || total < earthKM2/areaMargin || total > earthKM2*areaMargin {
			t.Errorf("level %d: %d cells of %.0f km²", level, n, total)
		}
	}
	fine := s2.CellIDFromFace(2).ChildBeginAtLevel(areaLevel)
	if cellArea(fine) != earth.CellArea(fine) {
		t.Error("a fine cell has the area of another")
	}
}

package atlas

import (
	"fmt"

	"github.com/golang/geo/s1"
	"github.com/golang/geo/s2"
)

// Class is where a cell stands to a region. There is no zero class: an unset Class is Border, which commits to nothing.
type Class uint8

// The classes.
const (
	// Border: neither of the others is certain.
	Border Class = 0
	// In: every point of the cell is in the region, whatever the data's error and whoever is right in a dispute.
	In Class = 1
	// Out: no point of the cell is in the region, whatever the data's error and whoever is right in a dispute.
	Out Class = 2
)

// String returns "in", "out" or "border".
func (c Class) String() string {
	switch c {
	case Border:
		return "border"
	case In:
		return "in"
	case Out:
		return "out"
	}
	return fmt.Sprintf("Class(%d)", uint8(c))
}

// view is a cell in question, with what is computed from it at most once.
type view struct {
	id   s2.CellID
	cell s2.Cell
	cap  s2.Cap
}

func (v *view) body() s2.Cell {
	if v.cell.ID() != v.id {
		v.cell = s2.CellFromCellID(v.id)
		v.cap = v.cell.CapBound()
	}
	return v.cell
}

func (v *view) centre() s2.Point {
	v.body()
	return v.cap.Center()
}

// radius returns an angle around the centre that holds the cell.
func (v *view) radius() s1.Angle {
	v.body()
	return v.cap.Radius()
}

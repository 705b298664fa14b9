package table

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
)

// Kind is what a column holds.
type Kind uint8

// The kinds.
const (
	Text Kind = iota
	Count
	Number
)

// Column is a column's name and kind.
type Column struct {
	Name string
	Kind Kind
}

// Cell is one value, of its column's kind; absent unless Known.
type Cell struct {
	Known  bool
	Text   string
	Count  int64
	Number float64
}

// String is the cell as CSV has it.
func (c Cell) String(kind Kind) string {
	switch {
	case !c.Known:
		return ""
	case kind == Text:
		return guarded(c.Text)
	case kind == Count:
		return strconv.FormatInt(c.Count, 10)
	}
	return strconv.FormatFloat(c.Number, 'g', 6, 64)
}

// guarded keeps a spreadsheet from reckoning with a name.
func guarded(s string) string {
	if s != "" && (s[0] == '=' || s[0] == '+' || s[0] == '-' || s[0] == '@') {
		return "'" + s
	}
	return s
}

// Of makes known cells.
func Of(s string) Cell { return Cell{Known: true, Text: s} }

// OfCount makes a known cell of a count.
func OfCount(n int64) Cell { return Cell{Known: true, Count: n} }

// OfNumber makes a cell of a number when it is known.
func OfNumber(x float64, known bool) Cell {
	if !known {
		return Cell{}
	}
	return Cell{Known: true, Number: x}
}

// Table is columns, rows and what is said about the whole.
type Table struct {
	Columns []Column
	Rows    [][]Cell
	Meta    map[string]string // experiment, hash, build, seeds
}

// Column returns the index of a column, -1 when there is none.
func (t *Table) Column(name string) int {
	for i, c := range t.Columns {
		if c.Name == name {
			return i
		}
	}
	return -1
}

func (t *Table) check() error {
	for i, r := range t.Rows {
		if len(r) != len(t.Columns) {
			return fmt.Errorf("row %d has %d cells for %d columns", i, len(r), len(t.Columns))
		}
	}
	return nil
}

// WriteCSV writes the table with a header (RFC 4180, but with bare line feeds).
func (t *Table) WriteCSV(out io.Writer) error {
	if err := t.check(); err != nil {
		return err
	}
	w := csv.NewWriter(out)
	fields := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		fields[i] = c.Name
	}
	if err := w.Write(fields); err != nil {
		return err
	}
	for _, row := range t.Rows {
		for i, c := range row {
			fields[i] = c.String(t.Columns[i].Kind)
		}
		if err := w.Write(fields); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

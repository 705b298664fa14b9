package table_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"testing"

	"github.com/parquet-go/parquet-go"
	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/simnet/experiment/table"
)

func draw(t *rapid.T) *table.Table {
	out := &table.Table{Columns: []table.Column{{Name: "place", Kind: table.Text}, {Name: "cores", Kind: table.Count}, {Name: "a_share", Kind: table.Number}},
		Meta: map[string]string{"build": "b1", "hash": "0123", "seeds": "1 2"}}
	for range rapid.IntRange(0, 40).Draw(t, "rows") {
		row := []table.Cell{
			table.Of(rapid.StringMatching(`[ -~\n]{0,12}`).Draw(t, "text")),
			table.OfCount(rapid.Int64().Draw(t, "count")),
			table.OfNumber(rapid.Float64Range(-1e9, 1e9).Draw(t, "number"), rapid.Bool().Draw(t, "known")),
		}
		if rapid.Bool().Draw(t, "absent") {
			row[0] = table.Cell{}
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

// readBack reads a Parquet file into the cells of the table's columns.
func readBack(t *rapid.T, data []byte, of *table.Table) ([][]table.Cell, *parquet.File) {
	f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]int{}
	for i, path := range f.Schema().Columns() {
		names[path[0]] = i
	}
	r := parquet.NewReader(bytes.NewReader(data))
	defer r.Close()
	var out [][]table.Cell
	for {
		buffer := make([]parquet.Row, 7)
		n, err := r.ReadRows(buffer)
		for _, row := range buffer[:n] {
			cells := make([]table.Cell, len(of.Columns))
			for i, c := range of.Columns {
				v := row[names[c.Name]]
				switch {
				case v.IsNull():
				case c.Kind == table.Text:
					cells[i] = table.Of(string(v.ByteArray()))
				case c.Kind == table.Count:
					cells[i] = table.OfCount(v.Int64())
				default:
					cells[i] = table.OfNumber(v.Double(), true)
				}
			}
			out = append(out, cells)
		}
		if errors.Is(err, io.EOF) {
			return out, f
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestBothFilesHoldTheSameCells: what comes out of Parquet is what went in, and prints as the CSV has it.
func TestBothFilesHoldTheSameCells(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := draw(t)
		var text, packed, again bytes.Buffer
		if err := errors.Join(want.WriteCSV(&text), want.WriteParquet(&packed), want.WriteParquet(&again)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(packed.Bytes(), again.Bytes()) {
			t.Fatal("the same table gave two files")
		}
		records, err := csv.NewReader(&text).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		cells, f := readBack(t, packed.Bytes(), want)
		if len(cells) != len(want.Rows) || len(records) != len(cells)+1 {
			t.Fatalf("%d rows, %d in Parquet, %d in CSV", len(want.Rows), len(cells), len(records)-1)
		}
		for i, row := range cells {
			for k, c := range row {
				if c != want.Rows[i][k] || c.String(want.Columns[k].Kind) != records[i+1][k] {
					t.Fatalf("row %d, %s: %+v, Parquet %+v, CSV %q", i, want.Columns[k].Name, want.Rows[i][k], c, records[i+1][k])
				}
			}
		}
		for key, value := range want.Meta {
			if got, ok := f.Lookup(key); !ok || got != value {
				t.Fatalf("metadata %s: %q, %v", key, got, ok)
			}
		}
	})
}

// TestNoFormulas: a value that a spreadsheet would reckon with is a text.
func TestNoFormulas(t *testing.T) {
	for _, s := range []string{"=1+1", "+1", "-1", "@x"} {
		if got := table.Of(s).String(table.Text); got != "'"+s {
			t.Errorf("%q became %q", s, got)
		}
	}
}

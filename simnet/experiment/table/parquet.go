package table

import (
	"io"
	"maps"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// WriteParquet writes the table as one Parquet file: optional columns, Snappy, the metadata as key-value pairs in the order of their
// keys.
func (t *Table) WriteParquet(out io.Writer) error {
	if err := t.check(); err != nil {
		return err
	}
	group := parquet.Group{}
	for _, c := range t.Columns {
		group[c.Name] = parquet.Compressed(parquet.Optional(leaf(c.Kind)), &parquet.Snappy)
	}
	schema := parquet.NewSchema("results", group)
	options := []parquet.WriterOption{schema, parquet.CreatedBy("ursa", "1", t.Meta["build"])}
	for _, key := range slices.Sorted(maps.Keys(t.Meta)) {
		options = append(options, parquet.KeyValueMetadata(key, t.Meta[key]))
	}
	w := parquet.NewWriter(out, options...)
	order := map[string]int{} // columns stand in the order of their names
	for i, path := range schema.Columns() {
		order[path[0]] = i
	}
	for _, cells := range t.Rows {
		row := make(parquet.Row, len(cells))
		for i, c := range cells {
			at := order[t.Columns[i].Name]
			row[at] = value(c, t.Columns[i].Kind, at)
		}
		if _, err := w.WriteRows([]parquet.Row{row}); err != nil {
			return err
		}
	}
	return w.Close()
}

func leaf(kind Kind) parquet.Node {
	switch kind {
	case Text:
		return parquet.String()
	case Count:
		return parquet.Int(64)
	}
	return parquet.Leaf(parquet.DoubleType)
}

func value(c Cell, kind Kind, column int) parquet.Value {
	switch {
	case !c.Known:
		return parquet.NullValue().Level(0, 0, column)
	case kind == Text:
		return parquet.ByteArrayValue([]byte(c.Text)).Level(0, 1, column)
	case kind == Count:
		return parquet.Int64Value(c.Count).Level(0, 1, column)
	}
	return parquet.DoubleValue(c.Number).Level(0, 1, column)
}

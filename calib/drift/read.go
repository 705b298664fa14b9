package drift

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a table may be refused for.
var (
	ErrHeader = errors.New("not the header of a table of series")
	ErrRow    = errors.New("not a row of a table of series")
	ErrLarge  = errors.New("too large")
)

// MaxPoints limits a table: 20 million points take 320 MB.
const MaxPoints = 20_000_000

// columns are where a table has what it needs; value columns in the order of preference, -1 when absent.
type columns struct{ date, unix, from, to, value int }

// ReadCSV reads a table of series: a header with a time (unix_ts, or date as 2006-01-02 or RFC 3339), the ends (src_id and dst_id, or
// probe alone when all measure one target) and a value in milliseconds (min_ms, rtt_ms, median_ms or avg30d_ms, the first that the
// header has). Other columns are ignored. An empty value, or one of at most zero, marks a lost answer and is a gap. Of two values at
// one time the smaller stays. Errors name the file and line.
func ReadCSV(r io.Reader, file string) ([]Series, error) {
	table := csv.NewReader(r)
	table.ReuseRecord = true
	header, err := table.Read()
	if err != nil {
		return nil, fmt.Errorf("%s:1: %w: %v", file, ErrHeader, err)
	}
	c, err := findColumns(header)
	if err != nil {
		return nil, fmt.Errorf("%s:1: %w", file, err)
	}
	found := map[[2]string]*Series{}
	for n := 0; ; {
		row, err := table.Read()
		if errors.Is(err, io.EOF) {
			return ordered(found), nil
		}
		if err != nil { // csv names the line
			return nil, fmt.Errorf("%s: %w: %v", file, ErrRow, err)
		}
		line, _ := table.FieldPos(0)
		ends, point, gap, err := c.read(row)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, line, err)
		}
		if gap {
			continue
		}
		if n++; n > MaxPoints {
			return nil, fmt.Errorf("%s:%d: %w: more than %d points", file, line, ErrLarge, MaxPoints)
		}
		s := found[ends]
		if s == nil {
			ends = [2]string{strings.Clone(ends[0]), strings.Clone(ends[1])}
			s = &Series{From: ends[0], To: ends[1]}
			found[ends] = s
		}
		s.Points = append(s.Points, point)
	}
}

func findColumns(header []string) (columns, error) {
	at := func(names ...string) int {
		for _, name := range names {
			if i := slices.Index(header, name); i >= 0 {
				return i
			}
		}
		return -1
	}
	c := columns{date: at("date"), unix: at("unix_ts"), from: at("src_id", "probe"), to: at("dst_id"), value: at("min_ms", "rtt_ms", "median_ms", "avg30d_ms")}
	switch {
	case c.date < 0 && c.unix < 0:
		return c, fmt.Errorf("%w: no time; name a column unix_ts or date", ErrHeader)
	case c.from < 0 || c.to < 0 && header[c.from] != "probe":
		return c, fmt.Errorf("%w: no ends; name columns src_id and dst_id, or probe", ErrHeader)
	case c.value < 0:
		return c, fmt.Errorf("%w: no value; name a column min_ms, rtt_ms, median_ms or avg30d_ms", ErrHeader)
	}
	return c, nil
}

func (c columns) read(row []string) (ends [2]string, p Point, gap bool, err error) {
	ends = [2]string{row[c.from], "target"}
	if c.to >= 0 {
		ends[1] = row[c.to]
	}
	if ends[0] == "" || ends[1] == "" || ends[0] == ends[1] {
		return ends, p, false, fmt.Errorf("%w: from %q to %q; two different ends are needed", ErrRow, ends[0], ends[1])
	}
	if p.Unix, err = c.time(row); err != nil {
		return ends, p, false, err
	}
	text := row[c.value]
	if text == "" {
		return ends, p, true, nil
	}
	p.MS, err = strconv.ParseFloat(text, 64)
	if err != nil || !(p.MS <= maxMS) {
		return ends, p, false, fmt.Errorf("%w: %.40q is no round trip in milliseconds", ErrRow, text)
	}
	return ends, p, p.MS <= 0, nil
}

func (c columns) time(row []string) (int64, error) {
	if c.unix >= 0 {
		t, err := strconv.ParseInt(row[c.unix], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%w: unix_ts %.40q is no number of seconds", ErrRow, row[c.unix])
		}
		return t, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, row[c.date]); err == nil {
			return t.Unix(), nil
		}
	}
	return 0, fmt.Errorf("%w: date %.40q is not like 2006-01-02", ErrRow, row[c.date])
}

// ordered returns the series by their ends, each in time order with one value for each time.
func ordered(found map[[2]string]*Series) []Series {
	list := make([]Series, 0, len(found))
	for _, s := range found {
		slices.SortFunc(s.Points, func(a, b Point) int { return cmp.Or(cmp.Compare(a.Unix, b.Unix), cmp.Compare(a.MS, b.MS)) })
		s.Points = slices.CompactFunc(s.Points, func(a, b Point) bool { return a.Unix == b.Unix })
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b Series) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return list
}

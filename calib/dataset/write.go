package dataset

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// WriteNodes writes the node table, nodes in order.
func (s *Set) WriteNodes(w io.Writer) error {
	c := csv.NewWriter(w)
	if err := c.Write(strings.Split(NodesHeader, ",")); err != nil {
		return err
	}
	for _, n := range s.Nodes {
		lat, lon := strconv.FormatFloat(n.At.Lat, 'f', -1, 64), strconv.FormatFloat(n.At.Lon, 'f', -1, 64)
		if err := c.Write([]string{n.ID, n.Name, n.Country, lat, lon, n.Source}); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// WriteRTT writes the round-trip table: one row for each measured direction, by source and destination in the order of the
// nodes, to the nanosecond. A minimum stands in min_ms, a median in median_ms; the number of samples is not kept.
func (s *Set) WriteRTT(w io.Writer) error {
	c := csv.NewWriter(w)
	if err := c.Write(strings.Split(RTTHeader, ",")); err != nil {
		return err
	}
	for i := range s.Nodes {
		for j := range s.Nodes {
			rtt, ok := s.Directed(i, j)
			if !ok {
				continue
			}
			row := []string{s.Nodes[i].ID, s.Nodes[j].ID, milliText(rtt), "", ""}
			if s.IsMedian(i, j) {
				row[2], row[3] = row[3], row[2]
			}
			if err := c.Write(row); err != nil {
				return err
			}
		}
	}
	c.Flush()
	return c.Error()
}

// milliText prints milliseconds with all six decimals that count, by integers, so that reading gives the same nanosecond back.
func milliText(r earth.RTT) string {
	whole, nanos := int64(r)/1e6, int64(r)%1e6
	text := strconv.FormatInt(1e6+nanos, 10)[1:]
	return strings.TrimSuffix(strconv.FormatInt(whole, 10)+"."+strings.TrimRight(text, "0"), ".")
}

// Save writes the set into a folder, which it makes if need be, packing the round trips if so said.
func (s *Set) Save(dir string, pack bool) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, NodesFile), s.WriteNodes); err != nil {
		return err
	}
	if !pack {
		return writeFile(filepath.Join(dir, RTTFile), s.WriteRTT)
	}
	return writeFile(filepath.Join(dir, RTTFileGZ), func(w io.Writer) error {
		z := gzip.NewWriter(w)
		if err := s.WriteRTT(z); err != nil {
			return err
		}
		return z.Close()
	})
}

func writeFile(path string, fill func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = fill(w)
	if err == nil {
		err = w.Flush()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

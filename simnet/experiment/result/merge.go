package result

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Point is what a point's chunks add up to.
type Point struct {
	Values []string // of Set.Header.Keys
	Series []Series // sorted by name
	Spots  []Spot   // in the order of the cores
	False  []int    // the first cores that were falsely accepted
}

// Set is a finished experiment.
type Set struct {
	Header Header // as of an unsharded run
	Points []Point
}

// Merge puts the journals of all shards together. Their order does not count; a shard that is given twice must say the same twice.
func Merge(journals ...*Journal) (*Set, error) {
	if len(journals) == 0 {
		return nil, fmt.Errorf("%w: none given", ErrShards)
	}
	head := journals[0].Header
	layout := head.Layout()
	chunks := make([]*Chunk, len(layout))
	for _, j := range journals {
		if !j.Header.same(&head) {
			return nil, fmt.Errorf("%w: experiment %s of build %s and experiment %s of build %s", ErrShards, head.Hash, head.Build, j.Header.Hash, j.Header.Build)
		}
		if err := place(chunks, j); err != nil {
			return nil, err
		}
	}
	if at := slices.Index(chunks, nil); at >= 0 {
		return nil, missing(journals, chunks, at)
	}
	head.Shard, head.Of = 0, 1
	s := &Set{Header: head, Points: make([]Point, len(head.Points))}
	for i, w := range layout {
		s.Points[w.Point].add(chunks[i])
	}
	for i, p := range head.Points {
		s.Points[i].Values = p.Values
		slices.SortFunc(s.Points[i].Series, func(a, b Series) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	}
	return s, nil
}

// place puts the chunks of a journal where they belong.
func place(chunks []*Chunk, j *Journal) error {
	for i := range j.Chunks {
		c := &j.Chunks[i]
		if before := chunks[c.Chunk]; before != nil {
			x, errX := json.Marshal(before)
			y, errY := json.Marshal(c)
			if errX != nil || errY != nil || !bytes.Equal(x, y) {
				return fmt.Errorf("%w: chunk %d is there twice with different results", ErrShards, c.Chunk)
			}
		}
		chunks[c.Chunk] = c
	}
	return nil
}

// missing says which shards there are and what is not.
func missing(journals []*Journal, chunks []*Chunk, first int) error {
	done := 0
	for _, c := range chunks {
		if c != nil {
			done++
		}
	}
	have := map[string]bool{}
	for _, j := range journals {
		state := ""
		if !j.Whole() {
			state = " (unfinished)"
		}
		have[fmt.Sprintf("%d/%d%s", j.Header.Shard+1, j.Header.Of, state)] = true
	}
	return fmt.Errorf("%w: %d of %d chunks are there, the first missing is %d; given were the shards %v", ErrShards, done, len(chunks), first,
		slices.Sorted(maps.Keys(have)))
}

func (p *Point) add(c *Chunk) {
	for _, s := range c.Series {
		at := slices.IndexFunc(p.Series, func(x Series) bool { return x.Name == s.Name })
		if at < 0 {
			at = len(p.Series)
			p.Series = append(p.Series, Series{Name: s.Name})
		}
		p.Series[at].Tally.Merge(s.Tally)
	}
	p.Spots = append(p.Spots, c.Spots...)
	for _, core := range c.False {
		if len(p.False) < maxExamples {
			p.False = append(p.False, core)
		}
	}
}

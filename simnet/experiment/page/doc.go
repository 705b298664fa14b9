// Package page makes the one page of an experiment: what was asked, what was found with its error bars, and the drawings, in a single
// HTML file that opens without a network.
//
// What it promises: nothing in the page is fetched from anywhere, and no script runs; its Content-Security-Policy forbids both. Every
// text is escaped by html/template. The worst stands first: false accepts, and what has no value. The same set gives the same bytes.
package page

import (
	"bytes"
	_ "embed" // the template
	"fmt"
	"html/template"
	"io"
	"regexp"

	"github.com/ursa-virtual/ursa/simnet/experiment/chart"
	"github.com/ursa-virtual/ursa/simnet/experiment/result"
	"github.com/ursa-virtual/ursa/simnet/experiment/summary"
	"github.com/ursa-virtual/ursa/topology/picture"
)

//go:embed page.html
var text string

var page = template.Must(template.New("page").Parse(text))

// figure is a drawing set into the page.
type figure struct {
	Name    string // for links
	Title   string
	Caption string
	SVG     template.HTML
}

// line is a row of the table of results.
type line struct {
	Values []string
	Cells  []string
	Bad    bool // a false accept
}

// content is what the template shows.
type content struct {
	Header     result.Header
	Seeds      []string
	Cores      int64
	Verdict    string // on what the experiment expects
	Kept       bool
	False      []string // how to see the first false accepts again
	FalseTotal int64
	Keys       []string
	Columns    []string
	Lines      []line
	Needs      []line
	NeedKeys   []string
	Share      string
	Figures    []figure
}

// Write writes the page of a set with its pictures.
func Write(w io.Writer, s *result.Set, pictures []*chart.Picture) error {
	c := content{Header: s.Header, Seeds: summary.Distinct(s, summary.SeedKey)}
	rows := summary.Pooled(s)
	c.fill(s, rows)
	c.needs(s)
	for i, p := range pictures {
		svg, err := inline(p, i)
		if err != nil {
			return err
		}
		c.Figures = append(c.Figures, figure{p.Name, p.Title(), p.Caption, svg})
	}
	return page.Execute(w, c)
}

var (
	identity  = regexp.MustCompile(`\bid="([^"]*)"`)
	reference = regexp.MustCompile(`(url\(#|href="#)`)
)

// inline makes a drawing part of the page: without the prologue of a file of its own, and with ids that no other drawing has.
func inline(p *chart.Picture, at int) (template.HTML, error) {
	var b bytes.Buffer
	if err := p.WriteTo(&b, picture.SVG); err != nil {
		return "", err
	}
	svg := b.Bytes()
	begin := bytes.Index(svg, []byte("<svg"))
	if begin < 0 {
		return "", fmt.Errorf("picture %s is no SVG", p.Name)
	}
	svg = identity.ReplaceAll(svg[begin:], fmt.Appendf(nil, `id="p%d-$1"`, at))
	svg = reference.ReplaceAll(svg, fmt.Appendf(nil, "${1}p%d-", at))
	return template.HTML(svg), nil
}

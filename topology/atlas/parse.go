package atlas

import (
	"crypto/sha256"
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// The grammar:
//
//	region = term { ("+" | "-" | "minus") term }          left to right
//	term   = factor { "&" factor }
//	factor = "(" region ")" | "*" | NAME
//	       | "cap(" LAT "," LON "," LENGTH ")"              all within LENGTH of a point
//	       | "buffer(" region "," ["-"] LENGTH ")"           grown, or shrunk
//	       | "file(" FILE ")"                                polygons of a GeoJSON file
//	       | RULE "(" region ")"
//	NAME   = country (DE), subdivision (US-HI), union (EU27), LAND, SEA; in either case
//	RULE   = land | territorial | neutral | strict | primary
//	LENGTH = number with unit: m, km, nmi
//
// A hyphen between letters or digits belongs to a name, so US-HI is Hawaii and "US - HI" is the United States without Haiti.

// The rules of ruleExpr.
const (
	ruleLand        = "land"
	ruleTerritorial = "territorial"
	ruleNeutral     = "neutral"
	ruleStrict      = "strict"
	rulePrimary     = "primary"
)

// Limits on what is worth reading.
const (
	maxExpression = 1 << 16
	maxDepth      = 64
	maxTokens     = 1 << 13
	maxRadius     = 20_000_000 // metres, about half a great circle
	maxBuffer     = 1_000_000  // metres
)

type parser struct {
	w      *world
	source string
	tokens []token
	next   int
	depth  int
	read   func(string) ([]byte, error)
}

func parse(w *world, source string, read func(string) ([]byte, error)) (expr, error) {
	if len(source) > maxExpression {
		return nil, fault(source, 0, ErrSyntax, "%d bytes are too long for an expression: at most %d", len(source), maxExpression)
	}
	tokens, err := lex(source)
	if err != nil {
		return nil, err
	}
	if len(tokens) > maxTokens {
		return nil, fault(source, tokens[maxTokens].at, ErrSyntax, "too long: at most %d words and signs", maxTokens)
	}
	p := &parser{w: w, source: source, tokens: tokens, read: read}
	if tokens[0].kind == end {
		return nil, p.fault(ErrSyntax, "empty: write a place, such as DE or EU27")
	}
	e, err := p.region()
	if err != nil {
		return nil, err
	}
	if p.peek().kind != end {
		return nil, p.fault(ErrSyntax, "%s is unexpected: want +, minus, & or the end", p.peek())
	}
	return e, nil
}

// String names a token in messages.
func (t token) String() string {
	if t.kind == end {
		return "the end"
	}
	return strconv.Quote(clip(t.text))
}

func (p *parser) peek() token { return p.tokens[p.next] }

func (p *parser) fault(kind error, format string, args ...any) error {
	return fault(p.source, p.peek().at, kind, format, args...)
}

// take consumes the next token if it is the sign.
func (p *parser) take(s string) bool {
	if t := p.peek(); t.kind == sign && t.text == s {
		p.next++
		return true
	}
	return false
}

func (p *parser) want(s, why string) error {
	if !p.take(s) {
		return p.fault(ErrSyntax, "%s is unexpected: want %q %s", p.peek(), s, why)
	}
	return nil
}

func (p *parser) region() (expr, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fault(ErrSyntax, "nested more than %d deep", maxDepth)
	}
	defer func() { p.depth-- }()
	e, err := p.term()
	for err == nil {
		var right expr
		switch t := p.peek(); {
		case p.take("+"):
			if right, err = p.term(); err == nil {
				e = newUnion(e, right)
			}
		case t.kind == word && strings.EqualFold(t.text, "minus"):
			p.next++
			if right, err = p.term(); err == nil {
				e = newMinus(e, right)
			}
		case p.take("-"):
			if right, err = p.term(); err == nil {
				e = newMinus(e, right)
			}
		default:
			return e, nil
		}
	}
	return nil, err
}

func (p *parser) term() (expr, error) {
	e, err := p.factor()
	for err == nil && p.take("&") {
		var right expr
		if right, err = p.factor(); err == nil {
			e = newMeet(e, right)
		}
	}
	return e, err
}

func (p *parser) factor() (expr, error) {
	if p.take("(") {
		e, err := p.region()
		if err == nil {
			err = p.want(")", "to close the parenthesis")
		}
		return e, err
	}
	if p.take("*") {
		return nameExpr{earthCode}, nil
	}
	t := p.peek()
	if t.kind != word || strings.EqualFold(t.text, "minus") {
		return nil, p.fault(ErrSyntax, "%s is unexpected: want a place, such as DE, US-HI or EU27, or a parenthesis", t)
	}
	if n := p.tokens[p.next+1]; n.kind == sign && n.text == "(" {
		return p.call()
	}
	name := strings.ToUpper(t.text)
	if name == "WORLD" {
		name = earthCode
	} else if !p.w.known(name) {
		return nil, p.fault(ErrUnknown, "unknown place %q%s", clip(t.text), p.w.hint(t.text))
	}
	p.next++
	return nameExpr{name}, nil
}

// call reads a function. The parser stands on its name.
func (p *parser) call() (expr, error) {
	start := p.next
	name := strings.ToLower(p.peek().text)
	p.next += 2
	var e expr
	var err error
	switch name {
	case "cap":
		e, err = p.cap()
	case "buffer":
		e, err = p.buffer()
	case "file":
		e, err = p.file()
	case ruleLand, ruleTerritorial, ruleNeutral, ruleStrict, rulePrimary:
		if e, err = p.region(); err == nil {
			e = ruleExpr{name, e}
		}
	default:
		p.next = start
		return nil, p.fault(ErrSyntax, "unknown function %q: want cap, buffer, file, land, territorial, neutral, strict or primary", clip(name))
	}
	if err == nil {
		err = p.want(")", "to close "+name)
	}
	return e, err
}

func (p *parser) cap() (expr, error) {
	var e capExpr
	var err error
	if e.centre.Lat, err = p.number("a latitude in degrees", 90); err != nil {
		return nil, err
	}
	if err = p.want(",", "after the latitude: cap(LAT,LON,RADIUS)"); err != nil {
		return nil, err
	}
	if e.centre.Lon, err = p.number("a longitude in degrees", 180); err != nil {
		return nil, err
	}
	if err = p.want(",", "after the longitude: cap(LAT,LON,RADIUS)"); err != nil {
		return nil, err
	}
	if p.peek().text == "-" {
		return nil, p.fault(ErrValue, "a radius is positive: cap(50.11,8.68,100km)")
	}
	e.radius, err = p.length(maxRadius)
	return e, err
}

func (p *parser) buffer() (expr, error) {
	of, err := p.region()
	if err != nil {
		return nil, err
	}
	if err = p.want(",", "and a width: buffer(DE,-5km)"); err != nil {
		return nil, err
	}
	negative := p.take("-")
	if !negative {
		p.take("+")
	}
	by, err := p.length(maxBuffer)
	if negative {
		by = -by
	}
	return bufferExpr{of, by}, err
}

// number reads a number with an optional sign, whose size is at most the limit.
func (p *parser) number(what string, limit float64) (float64, error) {
	factor := 1.0
	if p.take("-") {
		factor = -1
	} else {
		p.take("+")
	}
	v, err := strconv.ParseFloat(p.peek().text, 64)
	if p.peek().kind != word || err != nil {
		return 0, p.fault(ErrSyntax, "%s is unexpected: want %s", p.peek(), what)
	}
	if !(math.Abs(v) <= limit) {
		return 0, p.fault(ErrValue, "%s is not within -%v..%v: want %s", p.peek(), limit, limit, what)
	}
	p.next++
	return factor*v + 0, nil
}

// units of length, in metres.
var units = []struct {
	name string
	size float64
}{{"nmi", 1852}, {"km", 1000}, {"m", 1}}

func (p *parser) length(limit float64) (earth.Metres, error) {
	t := p.peek()
	for _, u := range units {
		digits, ok := strings.CutSuffix(strings.ToLower(t.text), u.name)
		if !ok || t.kind != word {
			continue
		}
		v, err := strconv.ParseFloat(digits, 64)
		if err != nil {
			break
		}
		if v *= u.size; !(v > 0 && v <= limit) {
			return 0, p.fault(ErrValue, "%s is not above 0 and up to %s", t, length(earth.Metres(limit)))
		}
		p.next++
		return earth.Metres(v), nil
	}
	return 0, p.fault(ErrSyntax, "%s is unexpected: want a length with its unit, such as 100km, 500m or 12nmi", t)
}

func (p *parser) file() (expr, error) {
	t := p.peek()
	e := fileExpr{name: t.text}
	switch t.kind {
	case word:
	case quoted:
		e.name = unquote(t.text)
	default:
		return nil, p.fault(ErrSyntax, "%s is unexpected: want the name of a GeoJSON file, in quotes if it has spaces", t)
	}
	if e.name == "" {
		return nil, p.fault(ErrSyntax, "the name of the file is empty")
	}
	if p.read == nil {
		return nil, p.fault(ErrFile, "files cannot be read here: write the region in names and caps")
	}
	data, err := p.read(e.name)
	if err != nil {
		return nil, p.fault(errors.Join(ErrFile, err), "file %q cannot be read: %v", e.name, err)
	}
	e.digest = sha256.Sum256(data)
	if e.shape, err = readPolygons(data); err != nil {
		return nil, p.fault(errors.Join(ErrFile, err), "file %q: %v", e.name, err)
	}
	if v, ok := p.w.swapped(e.shape); ok {
		return nil, p.fault(errors.Join(ErrFile, ErrSwapped), "file %q: all of it is at sea, and on land with latitude and longitude swapped: "+
			"GeoJSON writes [longitude, latitude], as in %s; a feature that means the sea has the property \"at_sea\": true", e.name, show(v))
	}
	p.next++
	return e, nil
}

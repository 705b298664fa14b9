package story

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// media are how fast a signal runs along a straight line, as a share of light in vacuum.
var media = map[string]float64{"vacuum": 1, "fibre": 1 / world.FibreIndex}

// maxLinkMS bounds the round trip of a link that a story gives in milliseconds.
const maxLinkMS = 10_000

// place names a city of the world, or makes a town of its own.
func (p *parser) place(args []string) error {
	if len(args) < 2 {
		return p.usage("place")
	}
	if err := p.setting("place"); err != nil {
		return err
	}
	if _, taken := p.story.places[args[0]]; taken || p.name(args[0]) != nil {
		return p.errorf("%q cannot name a place; use up to 40 letters, digits and dashes that are not taken", args[0])
	}
	if lat, err := strconv.ParseFloat(args[1], 64); err == nil {
		return p.town(args, lat)
	}
	at, err := p.cast.Find(strings.Join(args[1:], " "))
	if err != nil {
		return p.errorf("%w", err)
	}
	p.story.places[args[0]] = at
	return nil
}

// town makes a town from coordinates.
func (p *parser) town(args []string, lat float64) error {
	if len(args) != 3 && len(args) != 4 {
		return p.usage("place")
	}
	lon, err := strconv.ParseFloat(args[2], 64)
	at := earth.LatLon{Lat: lat, Lon: lon}
	if err != nil || at.Validate() != nil {
		return p.errorf("%q %q is no position; write degrees, such as place lab 48.85 2.35", args[1], args[2])
	}
	access := world.DataCentre
	if len(args) == 4 {
		if access, err = world.ParseAccess(args[3]); err != nil {
			return p.errorf("%w", err)
		}
	}
	p.story.places[args[0]] = world.Place{ID: "story/" + args[0], Name: args[0], At: at, Population: world.UnknownPopulation,
		Access: access, Metro: "story/" + args[0]}
	return nil
}

// known checks a place that a line refers to.
func (p *parser) known(place string) error {
	if _, ok := p.story.places[place]; ok {
		return nil
	}
	names := make([]string, 0, len(p.story.places))
	for n := range p.story.places {
		names = append(names, n)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return p.errorf("no place is called %q; name it first: place %s CITY", place, place)
	}
	return p.errorf("no place is called %q; there are %s", place, strings.Join(names, ", "))
}

func (p *parser) link(args []string) error {
	if len(args) != 3 {
		return p.usage("link")
	}
	if err := firstOf(p.known(args[0]), p.known(args[1]), p.setting("link")); err != nil {
		return err
	}
	l := link{a: args[0], b: args[1]}
	if _, ok := media[args[2]]; ok {
		l.medium = args[2]
	} else {
		ms, err := strconv.ParseFloat(args[2], 64)
		if err != nil || !(ms > 0 && ms <= maxLinkMS) {
			return p.errorf("%q is no link; write vacuum, fibre or a round trip in milliseconds", args[2])
		}
		l.rttMS = ms
	}
	a, b := p.story.places[l.a], p.story.places[l.b]
	if least := lightMS(a, b); l.medium == "" && l.rttMS < least {
		return p.errorf("a round trip of %g ms between %s and %s is faster than light, which takes %.3f ms", l.rttMS, l.a, l.b, least)
	}
	p.story.links = append(p.story.links, l)
	return nil
}

// firstOf returns the first error: a person mends one thing at a time.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// lightMS is the round trip of light along the straight line.
func lightMS(a, b world.Place) float64 {
	return 2 * float64(earth.Chord(a.ECEF(), b.ECEF())) / float64(earth.Light) * 1e3
}

// oneWay is the delay of one direction of a link between two hosts at its ends.
func (l link) oneWay(a, b world.Place) time.Duration {
	ms := l.rttMS
	if l.medium != "" {
		ms = lightMS(a, b) / media[l.medium]
	}
	// Hosts stand a little beside the towns that a round trip was given for.
	return time.Duration(math.Ceil(math.Max(ms, lightMS(a, b)) * 1e6 / 2))
}

// world makes the story's world: the cities, and the towns of its own.
func (s *Story) world() (*world.World, error) {
	cities, err := world.Cities()
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(s.places))
	for n := range s.places {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		if p := s.places[n]; strings.HasPrefix(p.ID, "story/") {
			cities = append(cities, p)
		}
	}
	w, err := world.Synthetic("story", cities, world.Config{Seed: s.Seed})
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrStory, s.File, err)
	}
	return w, nil
}

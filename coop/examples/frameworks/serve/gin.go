package main

import (
	"io"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"greenroom/coop/coophttp"
)

// ginEngine is the app in gin.
func ginEngine(a *app) http.Handler {
	r := gin.New()
	r.Use(gin.Recovery(), func(c *gin.Context) {
		a.count()
		c.Next()
	})
	r.GET("/hello/:name", func(c *gin.Context) { c.JSON(http.StatusOK, a.greet(c.Param("name"))) })
	r.POST("/sum", func(c *gin.Context) {
		var n numbers
		if c.BindJSON(&n) != nil {
			return // answered with 400
		}
		c.JSON(http.StatusOK, n.sum())
	})
	r.GET("/ticks/:n", func(c *gin.Context) {
		n, _ := strconv.Atoi(c.Param("n")) // none for what is no number
		c.Stream(func(w io.Writer) bool {
			n--
			return n >= 0 && a.tick(coophttp.Greenlet(c.Request), w) == nil
		})
	})
	r.GET("/wait", func(c *gin.Context) {
		a.wait(coophttp.Greenlet(c.Request), c.Writer) // a client that has gone is nobody's business
	})
	r.POST("/open", func(c *gin.Context) {
		a.gate.Set()
		c.Status(http.StatusNoContent)
	})
	r.GET("/await/:id", func(c *gin.Context) {
		text, err := a.await(coophttp.Greenlet(c.Request), c.Param("id"))
		if err != nil {
			return // the server stops
		}
		c.String(http.StatusOK, "%s", text)
	})
	report := a.blocking()
	r.GET("/report/:id", func(c *gin.Context) {
		c.Request.SetPathValue("id", c.Param("id")) // gin keeps it to itself
		report.ServeHTTP(c.Writer, c.Request)
	})
	r.GET("/panic", func(*gin.Context) { panic("as asked for") })
	return r
}

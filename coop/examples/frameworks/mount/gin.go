package main

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// onGin mounts them in gin.
func onGin(io, live http.Handler, seen func(path string)) http.Handler {
	r := gin.New()
	r.Use(gin.Recovery(), func(c *gin.Context) {
		seen(c.Request.URL.Path)
		c.Next()
	})
	r.Any("/socket.io/*any", gin.WrapH(io))
	group := r.Group("/live")
	group.Any("/socket.io/*any", gin.WrapH(live))
	r.Any("/stripped/*any", gin.WrapH(http.StripPrefix("/stripped", io)))
	r.GET("/hello", func(c *gin.Context) { c.String(http.StatusOK, "hello") })
	return r
}
